"""The order in which the modules of a residual block run, written from timm's forward functions; @ is the attention."""

from placed import ROWS

ORDER = {
    ("resnet18", "layer1.1"): {
        "after-norm": "conv1 bn1 act1 conv2 bn2 @ act2",
        "before-norm": "conv1 bn1 act1 conv2 @ bn2 act2",
        "before-conv": "@ conv1 bn1 act1 @ conv2 bn2 act2",
        "mid": "conv1 bn1 act1 @ conv2 bn2 act2",
    },
    ("resnext50_32x4d", "layer2.1"): {
        "after-norm": "conv1 bn1 act1 conv2 bn2 act2 conv3 bn3 @ act3",
        "before-norm": "conv1 bn1 act1 conv2 @ bn2 act2 conv3 bn3 act3",
        "before-conv": "@ conv1 bn1 act1 @ conv2 bn2 act2 @ conv3 bn3 act3",
        "mid": "conv1 bn1 act1 conv2 bn2 act2 @ conv3 bn3 act3",
    },
    ("wide_resnet50_2", "layer2.1"): {"after-norm": "conv1 bn1 act1 conv2 bn2 act2 conv3 bn3 @ act3"},
    ("seresnet18", "layer1.1"): {  # the network's own attention stays, ours follows
        "after-norm": "conv1 bn1 act1 conv2 bn2 se.fc1 se.act se.fc2 se.gate @ act2",
    },
    ("res2net50_26w_4s", "layer1.1"): {
        "after-norm": "conv1 bn1 relu convs.0 bns.0 relu convs.1 bns.1 relu convs.2 bns.2 relu conv3 bn3 @ relu",
        "before-norm": "conv1 bn1 relu convs.0 @ bns.0 relu convs.1 @ bns.1 relu convs.2 @ bns.2 relu conv3 bn3 relu",
        "before-conv": "@ conv1 bn1 relu @ convs.0 bns.0 relu @ convs.1 bns.1 relu @ convs.2 bns.2 relu"
        " @ conv3 bn3 relu",
        "mid": "conv1 bn1 relu convs.0 bns.0 relu convs.1 bns.1 relu convs.2 bns.2 relu @ conv3 bn3 relu",
    },
    ("mobilenetv2_050", "blocks.1.0"): {
        "after-norm": "conv_pw bn1.act conv_dw bn2.act conv_pwl @",
        "before-norm": "conv_pw bn1.act conv_dw @ bn2.act conv_pwl",
        "before-conv": "@ conv_pw bn1.act @ conv_dw bn2.act @ conv_pwl",
        "mid": "conv_pw bn1.act conv_dw bn2.act @ conv_pwl",
    },
    ("mobilenetv2_050", "blocks.0.0"): {
        "after-norm": "conv_dw bn1.act conv_pw @",
        "before-norm": "conv_dw @ bn1.act conv_pw",
        "before-conv": "@ conv_dw bn1.act @ conv_pw",
        "mid": "conv_dw bn1.act @ conv_pw",
    },
    ("regnetx_002", "s2.b1"): {
        "after-norm": "conv1.conv conv1.bn.act conv2.conv conv2.bn.act conv3.conv @ act3",
        "before-norm": "conv1.conv conv1.bn.act conv2.conv @ conv2.bn.act conv3.conv act3",
        "before-conv": "@ conv1.conv conv1.bn.act @ conv2.conv conv2.bn.act @ conv3.conv act3",
        "mid": "conv1.conv conv1.bn.act conv2.conv conv2.bn.act @ conv3.conv act3",
    },
    ("ghostnet_050", "blocks.1.0"): {  # with stride, so with a depthwise convolution between the two ghost modules
        "after-norm": "1p 1c conv_dw bn_dw 2p 2c 2n @",
        "before-norm": "1p 1c conv_dw bn_dw 2p 2c @ 2n",
        "before-conv": "@ 1p 1c @ conv_dw bn_dw @ 2p 2c 2n",
        "mid": "1p 1c conv_dw bn_dw @ 2p 2c 2n",
    },
    (ROWS, "stages.0.blocks.0"): {
        "after-norm": "conv_dw norm mlp.fc1 mlp.act mlp.fc2 @",
        "before-norm": "conv_dw @ norm mlp.fc1 mlp.act mlp.fc2",
        "before-conv": "@ conv_dw norm @ mlp.fc1 mlp.act @ mlp.fc2",
        "mid": "conv_dw norm mlp.fc1 mlp.act @ mlp.fc2",
    },
    ("convnextv2_atto", "stages.0.blocks.0"): {"mid": "conv_dw norm mlp.fc1 mlp.act mlp.grn @ mlp.fc2"},
    ("convnext_atto", "stages.0.blocks.0"): {
        "after-norm": "conv_dw norm mlp.fc1 mlp.act mlp.fc2 @",
        "before-norm": "conv_dw @ norm mlp.fc1 mlp.act mlp.fc2",
        "before-conv": "@ conv_dw norm @ mlp.fc1 mlp.act @ mlp.fc2",
        "mid": "conv_dw norm mlp.fc1 mlp.act @ mlp.fc2",
    },
    ("placed:two_kernels", "layer1.0"): {
        "after-norm": "conv1.bn.act conv2.paths.0.conv conv2.paths.1.conv conv2.attn.fc_select conv3.conv conv3.bn.act"
        " @ act",
        "before-norm": "conv1.bn.act conv2.paths.0.conv @ conv2.paths.0.bn.act conv2.paths.1.conv @"
        " conv2.paths.1.bn.act conv2.attn.fc_select conv3.conv conv3.bn.act act",
        "before-conv": "@ conv1.conv conv1.bn.act @ conv2.paths.0.conv conv2.paths.1.conv conv2.attn.fc_select"
        " @ conv3.conv conv3.bn.act act",
        "mid": "conv1.bn.act conv2.paths.0.conv conv2.paths.1.conv conv2.attn.fc_select @ conv3.conv conv3.bn.act act",
    },
    ("placed:two_kernels_basic", "layer2.0"): {
        "after-norm": "conv1.paths.0.conv conv1.paths.1.conv conv1.attn.fc_select conv2.conv conv2.bn.act @ act",
        "before-norm": "conv1.paths.0.conv conv1.paths.1.conv conv1.attn.fc_select conv2.conv @ conv2.bn.act act",
        "before-conv": "@ conv1.paths.0.conv conv1.paths.1.conv conv1.attn.fc_select @ conv2.conv conv2.bn.act act",
        "mid": "conv1.paths.0.conv conv1.paths.1.conv conv1.attn.fc_select @ conv2.conv conv2.bn.act act",
    },
    ("placed:mobile", "1"): {
        "after-norm": "conv bn1.act @ drop_path",
        "before-norm": "conv @ bn1.act drop_path",
        "before-conv": "@ conv bn1.act drop_path",
        "mid": "@ conv bn1.act drop_path",
    },
    ("placed:mobile", "3"): {
        "after-norm": "conv_s2d bn_s2d.act conv_dw bn1.act conv_pw bn2.act @",
        "before-norm": "conv_s2d bn_s2d.act conv_dw @ bn1.act conv_pw bn2.act",
        "before-conv": "@ conv_s2d bn_s2d.act @ conv_dw bn1.act @ conv_pw bn2.act",
        "mid": "conv_s2d bn_s2d.act conv_dw bn1.act @ conv_pw bn2.act",
    },
    ("placed:mobile", "4"): {
        "after-norm": "conv_exp bn1.act conv_pwl bn2.act @ drop_path",
        "before-norm": "conv_exp @ bn1.act conv_pwl bn2.act drop_path",
        "before-conv": "@ conv_exp bn1.act @ conv_pwl bn2.act drop_path",
        "mid": "conv_exp bn1.act @ conv_pwl bn2.act drop_path",
    },
    ("efficientnet_b0", "blocks.1.1"): {"after-norm": "conv_pw conv_dw bn2.act se.gate conv_pwl bn3.act @ drop_path"},
    ("placed:universal", "1"): {
        "after-norm": "dw_start.conv pw_exp.conv dw_mid.conv pw_proj.conv pw_proj.bn.act dw_end @ layer_scale",
        "before-norm": "dw_start.conv pw_exp.conv dw_mid.conv @ dw_mid.bn.act pw_proj.conv layer_scale",
        "before-conv": "@ dw_start.conv @ pw_exp.conv @ dw_mid.conv @ pw_proj.conv layer_scale",
        "mid": "dw_start.conv pw_exp.conv dw_mid.conv dw_mid.bn.act @ pw_proj.conv pw_proj.bn.act layer_scale",
    },
    ("placed:universal", "2"): {
        "after-norm": "pw_exp.conv dw_mid.conv pw_proj.conv dw_end.conv dw_end.bn.act @ layer_scale drop_path",
        "before-norm": "pw_exp.conv dw_mid.conv pw_proj.conv dw_end.conv @ dw_end.bn.act layer_scale",
        "before-conv": "@ pw_exp.conv @ dw_mid.conv @ pw_proj.conv @ dw_end.conv layer_scale",
        "mid": "pw_exp.conv dw_mid.conv pw_proj.conv pw_proj.bn.act @ dw_end.conv layer_scale",
    },
    ("placed:own_blocks", "stages.0.0"): {
        "after-norm": "conv1_kxk.conv conv1_kxk.bn.act conv2_kxk.conv conv2_kxk.bn.act @ drop_path act",
        "before-norm": "conv1_kxk.conv conv1_kxk.bn.act conv2_kxk.conv @ conv2_kxk.bn.act act",
        "before-conv": "@ conv1_kxk.conv conv1_kxk.bn.act @ conv2_kxk.conv conv2_kxk.bn.act act",
        "mid": "conv1_kxk.conv conv1_kxk.bn.act @ conv2_kxk.conv conv2_kxk.bn.act act",
    },
    ("placed:own_blocks", "stages.1.0"): {
        "after-norm": "conv1_1x1.conv conv2_kxk.conv conv2b_kxk.conv conv3_1x1.conv conv3_1x1.bn.act @ drop_path act",
        "before-norm": "conv1_1x1.conv conv2_kxk.conv conv2_kxk.bn.act conv2b_kxk.conv @ conv2b_kxk.bn.act act",
        "before-conv": "@ conv1_1x1.conv @ conv2_kxk.conv @ conv2b_kxk.conv @ conv3_1x1.conv conv3_1x1.bn.act act",
        "mid": "conv1_1x1.conv conv2_kxk.conv conv2b_kxk.conv conv2b_kxk.bn.act @ conv3_1x1.conv conv3_1x1.bn.act act",
    },
    ("placed:own_blocks", "stages.1.1"): {  # without the second 3x3 convolution
        "before-norm": "conv1_1x1.conv conv2_kxk.conv @ conv2_kxk.bn.act conv2b_kxk conv3_1x1.conv act",
        "before-conv": "@ conv1_1x1.conv @ conv2_kxk.conv conv2b_kxk @ conv3_1x1.conv act",
    },
    ("placed:own_blocks", "stages.1.2"): {
        "after-norm": "conv1_1x1.conv conv1_1x1.bn.act conv2_kxk.conv conv2_kxk.bn.act @ drop_path act",
        "before-norm": "conv1_1x1.conv conv1_1x1.bn.act conv2_kxk.conv @ conv2_kxk.bn.act act",
        "before-conv": "@ conv1_1x1.conv conv1_1x1.bn.act @ conv2_kxk.conv conv2_kxk.bn.act act",
        "mid": "conv1_1x1.conv conv1_1x1.bn.act @ conv2_kxk.conv conv2_kxk.bn.act act",
    },
    ("placed:own_blocks", "stages.1.3"): {
        "after-norm": "conv1_kxk.conv conv1_kxk.bn.act conv2_1x1.conv conv2_1x1.bn.act @ drop_path act",
        "before-norm": "conv1_kxk.conv @ conv1_kxk.bn.act conv2_1x1.conv conv2_1x1.bn.act act",
        "before-conv": "@ conv1_kxk.conv conv1_kxk.bn.act @ conv2_1x1.conv conv2_1x1.bn.act act",
        "mid": "conv1_kxk.conv conv1_kxk.bn.act @ conv2_1x1.conv conv2_1x1.bn.act act",
    },
    ("test_byobnet", "stages.2.0"): {  # own attention at the end
        "after-norm": "conv2_kxk.bn.act attn_last.fc1 attn_last.gate @ drop_path act",
    },
    ("test_byobnet", "stages.3.0"): {  # and in the middle
        "mid": "conv2_kxk.bn.act attn.fc1 attn.gate @ conv3_1x1.conv conv3_1x1.bn.act act",
    },
    ("placed:lambdas", "stages.1.0"): {
        "after-norm": "conv1_1x1.conv self_attn.norm_v post_attn.act conv3_1x1.conv conv3_1x1.bn.act @ drop_path act",
        "before-conv": "@ conv1_1x1.conv self_attn.norm_v post_attn.act @ conv3_1x1.conv conv3_1x1.bn.act act",
        "mid": "conv1_1x1.conv self_attn.norm_v post_attn.act @ conv3_1x1.conv conv3_1x1.bn.act act",
    },
    ("placed:lambdas", "stages.1.1"): {
        "before-conv": "@ conv1_1x1.conv @ conv2_kxk.conv self_attn.norm_v post_attn.act @ conv3_1x1.conv act",
    },
    # behind the sum of the branches
    ("placed:branches", "stages.0.1"): {"after-norm": "identity.act conv_1x1.bn.act conv_kxk.bn.act @ act"},
    ("placed:branches", "stages.1.1"): {"after-norm": "identity.act conv_scale.bn.act conv_kxk.0.bn.act @ act"},
    ("placed:cross_stages", "stages.0.blocks.0"): {
        "after-norm": "conv1.conv conv2.conv conv3.conv conv3.bn.act @ drop_path act3",
        "before-norm": "conv1.conv conv2.conv @ conv2.bn.act conv3.conv act3",
        "before-conv": "@ conv1.conv @ conv2.conv @ conv3.conv act3",
        "mid": "conv1.conv conv2.conv conv2.bn.act @ conv3.conv act3",
    },
    ("placed:cross_stages", "stages.1.blocks.0"): {
        "after-norm": "conv1.conv conv1.bn.act conv2.conv conv2.bn.act @ drop_path",
        "before-norm": "conv1.conv @ conv1.bn.act conv2.conv conv2.bn.act drop_path",
        "before-conv": "@ conv1.conv conv1.bn.act @ conv2.conv conv2.bn.act drop_path",
        "mid": "conv1.conv conv1.bn.act @ conv2.conv conv2.bn.act drop_path",
    },
    ("placed:cross_stages", "stages.2.blocks.0"): {
        "after-norm": "conv1.conv conv1.bn.act conv2.conv conv2.bn.act @ drop_path",
        "before-norm": "conv1.conv conv1.bn.act conv2.conv @ conv2.bn.act drop_path",
        "before-conv": "@ conv1.conv conv1.bn.act @ conv2.conv conv2.bn.act drop_path",
        "mid": "conv1.conv conv1.bn.act @ conv2.conv conv2.bn.act drop_path",
    },
    ("placed:norm_free", "stages.1.0"): {
        "after-norm": "act1 conv1 act2 conv2 act2b conv2b act3 conv3 @ drop_path",
        "before-conv": "act1 @ conv1 act2 @ conv2 act2b @ conv2b act3 @ conv3 drop_path",
        "mid": "act1 conv1 act2 conv2 act2b conv2b act3 @ conv3 drop_path",
    },
    ("test_nfnet", "stages.1.0"): {"after-norm": "act3 conv3 attn_last.fc1 attn_last.gate @ drop_path"},
    ("placed:aggregated", "stages.2.blocks.0"): {
        "after-norm": "conv_reduction.conv conv_mid.0.conv_dw conv_mid.1.conv_pw conv_concat.conv conv_concat.bn.act @",
        "before-conv": "@ conv_reduction.conv @ conv_mid.0.conv_dw conv_mid.0.conv_pw @ conv_mid.1.conv_dw"
        " conv_mid.1.conv_pw @ conv_concat.conv conv_concat.bn.act",
        "mid": "conv_reduction.conv conv_mid.0.conv_dw conv_mid.1.conv_pw @ conv_concat.conv conv_concat.bn.act",
    },
    ("placed:aggregated", "stages.2.blocks.1"): {  # with attention of its own and a shortcut, without the reduction
        "after-norm": "conv_mid.0.conv_dw conv_mid.1.conv_dw conv_concat.bn.act attn.fc attn.gate @",
        "before-conv": "@ conv_mid.0.conv_dw @ conv_mid.1.conv_dw @ conv_concat.conv",
    },
}
GHOST = {
    "ghost1.primary_conv.0": "1p",
    "ghost1.cheap_operation.0": "1c",
    "ghost2.primary_conv.0": "2p",
    "ghost2.cheap_operation.0": "2c",
    "ghost2.cheap_operation.1": "2n",
}
