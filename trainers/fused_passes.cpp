// The passes of fused_kernels.py on a CPU, by the same formulas and names. Maps are dense, float32 or bfloat16, all else
// is float32. MOST_ROWS is given when it is compiled.

#include <cmath>
#include <utility>
#include <vector>

#include "fused_strips.h"

namespace {

// What is summed or added row by row, as a constant so that it stays in registers: the least of these that is enough.
template <class Body> void with_rows(int number, Body body) {
    if (number == 0) return body(std::integral_constant<int, 0>{});
    if (number == 1) return body(std::integral_constant<int, 1>{});
    if (number == 2) return body(std::integral_constant<int, 2>{});
    if (number <= 4) return body(std::integral_constant<int, 4>{});
    if (number <= 8) return body(std::integral_constant<int, 8>{});
    return body(std::integral_constant<int, MOST_ROWS>{});
}

struct Rows {
    int number = 0;
    bool own = false;
    const float *rows[MOST_ROWS] = {};

    Rows() = default;
    Rows(int number, bool own, const float *const *given) : number(number), own(own) {
        for (int row = 0; row < MOST_ROWS && number; row++) rows[row] = given[std::min(row, number - 1)];
    }

    // [rows, C]: over the pixels, the same for all channels where they share a row
    std::vector<float> sums(const Shape &s, bool channels_last) const {
        std::vector<float> found(number * s.channels);
        const int64_t channels = own ? s.channels : 1, step = own && channels_last ? s.channels : 1;
        for (int row = 0; row < number; row++) {
            float *to = &found[row * s.channels];
            for (int64_t c = 0; c < channels; c++) {
                const float *from = rows[row] + (channels_last ? c : c * s.pixels);
                double sum = 0;
                for (int64_t pixel = 0; pixel < s.pixels; pixel++) sum += from[pixel * step];
                to[c] = (float)sum;
            }
            std::fill(to + channels, to + s.channels, to[0]);
        }
        return found;
    }
};

}  // namespace

extern "C" {

struct Norm {
    const float *weight, *bias, *shift;
    float eps;
    const float *known_mean, *known_variance;  // null: those of the batch
};

struct Heard {
    float *mean, *variance, *scale, *offset, *sums, *squares;
    float *const *products;
};
}

namespace {

template <class T, class S> struct Passes {
    Shape shape;
    int threads;
    static constexpr bool LAST = std::is_same_v<S, Strip<true>>;

    void sums(const T *y, const Norm &norm, const Heard &heard, const Rows &rows) const {
        with_rows(rows.number, [&](auto K) {
            over_strips<S>(shape, threads, [&](const S &strip) {
                const Vector shift = strip.of_channel(norm.shift);
                Vector sum[2] = {}, square[2] = {}, product[K + 1] = {};
                strip.each([&](int64_t step, auto lanes, auto parity) {
                    const Vector v = only(load(y + strip.at(step), lanes) - shift, lanes);
                    sum[parity] += v;
                    square[parity] += v * v;
                    for (int row = 0; row < K; row++)
                        product[row] += v * strip.of_row(rows.rows[row], rows.own, step, lanes);
                });
                strip.keep(heard.sums, sum[0] + sum[1]);
                strip.keep(heard.squares, square[0] + square[1]);
                for (int row = 0; row < rows.number; row++) strip.keep(heard.products[row], product[row]);
            });
        });
    }

    void statistics(const Norm &norm, const Heard &heard) const {
        for (int64_t c = 0; c < shape.channels; c++) {
            double sum = 0, square = 0;
            for (int64_t at = c; at < shape.numbers(); at += shape.channels) {
                sum += heard.sums[at];
                square += heard.squares[at];
            }
            const double mean = sum / shape.values(), variance = square / shape.values() - mean * mean;
            heard.mean[c] = norm.known_mean ? norm.known_mean[c] : (float)mean;
            // rounding can make it negative; what is no number stays none
            heard.variance[c] = norm.known_mean ? norm.known_variance[c] : (float)(variance < 0 ? 0 : variance);
            heard.scale[c] = norm.weight[c] / std::sqrt(heard.variance[c] + norm.eps);
            heard.offset[c] = norm.bias[c] - heard.scale[c] * heard.mean[c];
        }
    }

    void tell(const Heard &heard, const Rows &rows, float *means, float *squared, float *const *told) const {
        const std::vector<float> of_rows = rows.sums(shape, LAST);
        for (int64_t at = 0; at < shape.numbers(); at++) {
            const int64_t c = at % shape.channels;
            const float scale = heard.scale[c], offset = heard.offset[c];
            const float mean = scale * heard.sums[at] / shape.pixels;
            means[at] = mean + offset;
            squared[at] = scale * scale * heard.squares[at] / shape.pixels + offset * (2 * mean + offset);
            for (int row = 0; row < rows.number; row++)
                told[row][at] = scale * heard.products[row][at] + offset * of_rows[row * shape.channels + c];
        }
    }

    // out is (y - shift) factor + offset, factor and offset vectors by the strip
    template <class Factors>
    void finish(const T *y, const float *shift, const T *skip, T *out, bool has_relu, Factors factors) const {
        over_strips<S>(shape, threads, [&](const S &strip) {
            const std::pair<Vector, Vector> both = factors(strip);
            const Vector factor = both.first, offset = both.second, by = strip.of_channel(shift);
            const auto pass = [&](auto added, auto cut) {
                strip.each([&](int64_t step, auto lanes, auto) {
                    Vector v = (load(y + strip.at(step), lanes) - by) * factor + offset;
                    if (added) v += load(skip + strip.at(step), lanes);
                    save(out + strip.at(step), cut ? relu(v) : v, lanes);
                });
            };
            constexpr std::true_type yes{};
            constexpr std::false_type no{};
            if (skip) {
                has_relu ? pass(yes, yes) : pass(yes, no);
            } else {
                has_relu ? pass(no, yes) : pass(no, no);
            }
        });
    }

    template <class Lanes> static Vector passed(const T *grad, const T *out, int64_t at, Lanes lanes) {
        const Vector v = load(grad + at, lanes);
        return out ? (load(out + at, lanes) > 0 ? v : Vector{}) : v;
    }

    void gather(const T *grad, const T *out, const T *y, const float *shift, T *kept, float *sums, float *dots) const {
        over_strips<S>(shape, threads, [&](const S &strip) {
            const Vector by = strip.of_channel(shift);
            Vector sum[2] = {}, dot[2] = {};
            strip.each([&](int64_t step, auto lanes, auto parity) {
                const int64_t at = strip.at(step);
                const Vector v = passed(grad, out, at, lanes);
                sum[parity] += v;
                dot[parity] += v * (load(y + at, lanes) - by);
                if (kept) save(kept + at, v, lanes);
            });
            strip.keep(sums, sum[0] + sum[1]);
            strip.keep(dots, dot[0] + dot[1]);
        });
    }

    // Gradients of y, weight and bias. `sums` and `dots` are gather's; the gate and what was told may be null.
    void spread(const T *grad, const T *out, const T *y, const Norm &norm, const Heard &heard, const float *sums,
                const float *dots, const float *gate, bool adds, const float *const *of_told, const Rows &rows, T *of_y,
                float *of_weight, float *of_bias) const {
        const int64_t C = shape.channels, pixels = shape.pixels;
        std::vector<float> factor(shape.numbers()), of_sum(shape.numbers()), of_square(shape.numbers());
        const std::vector<float> of_rows = rows.sums(shape, LAST);
        std::vector<std::vector<float>> of_products(rows.number, std::vector<float>(shape.numbers()));
        for (int64_t c = 0; c < C; c++) {
            const float scale = heard.scale[c], offset = heard.offset[c];
            double all_scale = 0, all_offset = 0;
            for (int64_t at = c; at < shape.numbers(); at += C) {
                const float by = gate && !adds ? gate[at] : 1;
                double of_offset = by * sums[at], of_scale = by * dots[at];
                factor[at] = scale * by;
                if (of_told) {
                    const float of_mean = of_told[0][at] / pixels, of_squared = of_told[1][at] / pixels;
                    of_scale += of_mean * heard.sums[at] +
                                2 * of_squared * (scale * heard.squares[at] + offset * heard.sums[at]);
                    of_offset += of_told[0][at] + 2 * of_squared * (scale * heard.sums[at] + offset * pixels);
                    of_sum[at] = scale * of_mean + 2 * scale * offset * of_squared;
                    of_square[at] = 2 * scale * scale * of_squared;
                    for (int row = 0; row < rows.number; row++) {
                        const float of_product = of_told[2 + row][at];
                        of_scale += of_product * heard.products[row][at];
                        of_offset += of_product * of_rows[row * C + c];
                        of_products[row][at] = scale * of_product;
                    }
                }
                all_scale += of_scale;
                all_offset += of_offset;
            }
            const double root = 1 / std::sqrt((double)heard.variance[c] + norm.eps);
            const double weight = root * (all_scale - heard.mean[c] * all_offset);
            of_bias[c] = (float)all_offset;
            of_weight[c] = (float)weight;
            if (norm.known_mean) continue;
            const double of_variance = -norm.weight[c] * weight * root * root / shape.values();
            for (int64_t at = c; at < shape.numbers(); at += C) {
                of_sum[at] += (float)(-scale * all_offset / shape.values() - heard.mean[c] * of_variance);
                of_square[at] += (float)of_variance;
            }
        }
        with_rows(rows.number, [&](auto K) {
            over_strips<S>(shape, threads, [&](const S &strip) {
                const Vector by = strip.of_number(factor.data()), square = strip.of_number(of_square.data());
                const Vector shift = strip.of_channel(norm.shift), sum = strip.of_number(of_sum.data());
                Vector of_product[K + 1] = {};
                for (int row = 0; row < rows.number; row++) of_product[row] = strip.of_number(of_products[row].data());
                strip.each([&](int64_t step, auto lanes, auto) {
                    const int64_t at = strip.at(step);
                    Vector v = passed(grad, out, at, lanes) * by + (load(y + at, lanes) - shift) * square + sum;
                    for (int row = 0; row < K; row++)
                        v += of_product[row] * strip.of_row(rows.rows[row], rows.own, step, lanes);
                    save(of_y + at, v, lanes);
                });
            });
        });
    }
};

struct Maps {
    int bfloat16, channels_last, threads;
    int64_t images, channels, pixels;
};

template <class Body> void with_passes(const Maps &maps, Body body) {
    const Shape shape{maps.images, maps.channels, maps.pixels};
    const auto in = [&](auto value) {
        using T = decltype(value);
        if (maps.channels_last)
            body(value, Passes<T, Strip<true>>{shape, maps.threads});
        else
            body(value, Passes<T, Strip<false>>{shape, maps.threads});
    };
    maps.bfloat16 ? in(BFloat16{}) : in(float{});
}

}  // namespace

extern "C" {

void attnas_listen(const Maps *maps, const void *y, const Norm *norm, int rows, int own, const float *const *of_rows,
                   const Heard *heard, float *means, float *squared, float *const *told) {
    with_passes(*maps, [&](auto value, const auto &passes) {
        using T = decltype(value);
        const Rows all(rows, own != 0, of_rows);
        passes.sums((const T *)y, *norm, *heard, all);
        passes.statistics(*norm, *heard);
        passes.tell(*heard, all, means, squared, told);
    });
}

void attnas_finish(const Maps *maps, const void *y, const Norm *norm, const Heard *heard, const void *skip,
                   const float *gate, int adds, int relu, void *out) {
    with_passes(*maps, [&](auto value, const auto &passes) {
        using T = decltype(value);
        passes.finish((const T *)y, norm->shift, (const T *)skip, (T *)out, relu != 0, [&](const auto &strip) {
            const Vector scale = strip.of_channel(heard->scale), offset = strip.of_channel(heard->offset);
            const Vector by = strip.of_number(gate);
            return adds ? std::pair{scale, offset + by} : std::pair<Vector, Vector>{scale * by, offset * by};
        });
    });
}

void attnas_normalise(const Maps *maps, const void *y, const Norm *norm, const Heard *heard, const void *skip, int relu,
                      void *out) {
    with_passes(*maps, [&](auto value, const auto &passes) {
        using T = decltype(value);
        passes.sums((const T *)y, *norm, *heard, Rows{});
        passes.statistics(*norm, *heard);
        passes.finish((const T *)y, norm->shift, (const T *)skip, (T *)out, relu != 0, [&](const auto &strip) {
            return std::pair{strip.of_channel(heard->scale), strip.of_channel(heard->offset)};
        });
    });
}

void attnas_gather(const Maps *maps, const void *grad, const void *out, const void *y, const Norm *norm, void *kept,
                   float *sums, float *dots) {
    with_passes(*maps, [&](auto value, const auto &passes) {
        using T = decltype(value);
        passes.gather((const T *)grad, (const T *)out, (const T *)y, norm->shift, (T *)kept, sums, dots);
    });
}

void attnas_spread(const Maps *maps, const void *grad, const void *out, const void *y, const Norm *norm,
                   const Heard *heard, const float *sums, const float *dots, const float *gate, int adds,
                   const float *const *of_told, int rows, int own, const float *const *of_rows, void *of_y,
                   float *of_weight, float *of_bias) {
    with_passes(*maps, [&](auto value, const auto &passes) {
        using T = decltype(value);
        passes.spread((const T *)grad, (const T *)out, (const T *)y, *norm, *heard, sums, dots, gate, adds != 0, of_told,
                      Rows(rows, own != 0, of_rows), (T *)of_y, of_weight, of_bias);
    });
}
}
