// Maps cut into strips of vectors of 16 lanes, so that sums can stay in registers: where channels lie last, the lanes
// are channels and a strip is an image's pixels; where pixels lie last, the lanes are pixels and a strip is a channel of
// an image. Each strip is one thread's, so that results do not depend on their number.

#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <type_traits>

#ifdef __AVX512F__
#include <immintrin.h>
#endif

namespace {

constexpr int LANES = 16;

typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef uint32_t Bits __attribute__((vector_size(4 * LANES)));
typedef int32_t Mask __attribute__((vector_size(4 * LANES)));
typedef uint16_t Halves __attribute__((vector_size(2 * LANES)));

struct BFloat16 {
    uint16_t bits;
};

Vector widen(const float *p) {
    Vector v;
    std::memcpy(&v, p, sizeof v);
    return v;
}

Vector widen(const BFloat16 *p) {
    Halves h;
    std::memcpy(&h, p, sizeof h);
#ifdef __AVX512F__  // one instruction, of which compilers make four
    return (Vector)((Bits)_mm512_cvtepu16_epi32((__m256i)h) << 16);
#else
    return (Vector)(__builtin_convertvector(h, Bits) << 16);
#endif
}

Vector all(float value) { return value - Vector{}; }  // no instruction, where + would be one: it makes 0 of -0

void narrow(float *p, Vector v) { std::memcpy(p, &v, sizeof v); }

void narrow(BFloat16 *p, Vector v) {  // to the nearest, ties to even; what is no number stays none
#ifdef __AVX512BF16__  // makes 0 of what is below 2^-126
    const __m256bh h = _mm512_cvtneps_pbh((__m512)v);
#else
    Bits bits = (Bits)v;
    Bits nearest = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
    Mask is_nan = v != v;
    Halves h = __builtin_convertvector(is_nan ? Bits{} + 0x7fc0 : nearest, Halves);
#endif
    std::memcpy(p, &h, sizeof h);
}

using All = std::integral_constant<int, LANES>;

template <class T> Vector load(const T *p, All) { return widen(p); }
template <class T> void save(T *p, Vector v, All) { narrow(p, v); }

template <class T> Vector load(const T *p, int lanes) {
    T some[LANES] = {};
    std::memcpy(some, p, lanes * sizeof(T));
    return widen(some);
}

template <class T> void save(T *p, Vector v, int lanes) {
    T all[LANES];
    narrow(all, v);
    std::memcpy(p, all, lanes * sizeof(T));
}

Vector only(Vector v, All) { return v; }

Vector only(Vector v, int lanes) {
    for (int lane = lanes; lane < LANES; lane++) v[lane] = 0;
    return v;
}

Vector relu(Vector v) { return v <= 0 ? Vector{} : v; }  // what is no number stays none, as in PyTorch

struct Shape {
    int64_t images, channels, pixels;
    int64_t numbers() const { return images * channels; }
    int64_t values() const { return images * pixels; }  // of a channel
};

// One strip: where its vectors begin, how far apart they are, and how many lanes are in use.
template <bool CHANNELS_LAST> struct Strip {
    Shape shape;
    int64_t image, channel;

    static int64_t of_image(const Shape &s) { return CHANNELS_LAST ? (s.channels + LANES - 1) / LANES : s.channels; }

    Strip(const Shape &s, int64_t number)
        : shape(s), image(number / of_image(s)), channel(number % of_image(s) * (CHANNELS_LAST ? LANES : 1)) {}

    int lanes() const { return (int)std::min<int64_t>(LANES, shape.channels - channel); }  // where lanes are channels

    int64_t at(int64_t step) const {
        const int64_t first = image * shape.channels * shape.pixels;
        return CHANNELS_LAST ? first + step * shape.channels + channel : first + channel * shape.pixels + step * LANES;
    }

    // body(step, lanes, parity): two steps have sums of their own, for one has to wait until it can be added to again
    template <class Body> void each(Body body) const {
        constexpr std::integral_constant<int, 0> even{};
        constexpr std::integral_constant<int, 1> odd{};
        const int64_t steps = CHANNELS_LAST ? shape.pixels : shape.pixels / LANES;
        int64_t step = 0;
        if (!CHANNELS_LAST || lanes() == LANES) {
            for (; step + 1 < steps; step += 2) {
                body(step, All{}, even);
                body(step + 1, All{}, odd);
            }
            if (step < steps) body(step++, All{}, even);
            if (const int rest = CHANNELS_LAST ? 0 : (int)(shape.pixels % LANES)) body(step, rest, odd);
        } else {
            for (; step < steps; step++) body(step, lanes(), even);
        }
    }

    Vector of_channel(const float *numbers) const {  // [C]
        if (!CHANNELS_LAST) return all(numbers[channel]);
        return lanes() == LANES ? load(numbers + channel, All{}) : load(numbers + channel, lanes());
    }

    Vector of_number(const float *numbers) const { return of_channel(numbers + image * shape.channels); }  // [B, C]

    void keep(float *numbers, Vector sum) const {  // [B, C]
        float *to = numbers + image * shape.channels + channel;
        if (CHANNELS_LAST) {
            save(to, sum, lanes());
        } else {
            *to = 0;
            for (int lane = 0; lane < LANES; lane++) *to += sum[lane];
        }
    }

    // A row of weights, each channel's own ([C, P] in the layout of the map) or one for all ([P])
    template <class Lanes> Vector of_row(const float *row, bool own, int64_t step, Lanes lanes) const {
        if (CHANNELS_LAST) return own ? load(row + step * shape.channels + channel, lanes) : all(row[step]);
        return load(row + (own ? channel * shape.pixels : 0) + step * LANES, lanes);
    }
};

template <class S, class Body> void over_strips(const Shape &shape, int threads, Body body) {
    const int64_t strips = shape.images * S::of_image(shape);
#pragma omp parallel for num_threads(threads) if (threads > 1)
    for (int64_t number = 0; number < strips; number++) body(S(shape, number));
}

}  // namespace
