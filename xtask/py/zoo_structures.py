"""Small networks, each there for one structure that a pruner has to understand.

`STRUCTURES` maps a name to a function returning a `Case`. Nothing here is trained or meant to be: widths are small,
odd where that is legal, and different from one another, so that a slice taken along the wrong axis changes a shape.
"""

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import nn


@dataclass
class Case:
    """A module and how to call it. `dynamic` names axes that vary beside the batch: {"ids": {1: "T"}}."""

    module: nn.Module
    inputs: dict
    outputs: list = field(default_factory=lambda: ["output"])
    dynamic: dict = field(default_factory=dict)
    batched: bool = True  # axis 0 of every input and output is the batch


STRUCTURES = {}


def structure(function):
    STRUCTURES[function.__name__] = function
    return function


def image(channels=3, height=32, width=None, batch=2):
    return torch.randn(batch, channels, height, width or height)


def ids(vocabulary=64, length=12, batch=2):
    return torch.randint(0, vocabulary, (batch, length))


def conv_bn(i, o, k=3, s=1, g=1, d=1, act=nn.ReLU):
    layers = [nn.Conv2d(i, o, k, s, (k - 1) // 2 * d, d, g, bias=False), nn.BatchNorm2d(o)]
    return nn.Sequential(*layers, act()) if act else nn.Sequential(*layers)


class Head(nn.Module):
    """Global average pool and a linear layer."""

    def __init__(self, channels, classes=10):
        super().__init__()
        self.fc = nn.Linear(channels, classes)

    def forward(self, x):
        return self.fc(F.adaptive_avg_pool2d(x, 1).flatten(1))


class Lambda(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, *args):
        return self.function(*args)


class Residual(nn.Module):
    def __init__(self, body):
        super().__init__()
        self.body = body

    def forward(self, x):
        return x + self.body(x)


def classifier(*layers, out, size=32, channels=3):
    return Case(nn.Sequential(*layers, Head(out)), {"input": image(channels, size)})


# --- Encoders and decoders -------------------------------------------------------------------------------------


class DoubleConv(nn.Sequential):
    def __init__(self, i, o):
        super().__init__(conv_bn(i, o), conv_bn(o, o))


class UNet(nn.Module):
    def __init__(self, mode, widths=(12, 20, 36, 52)):
        super().__init__()
        self.mode = mode
        self.down = nn.ModuleList(DoubleConv(i, o) for i, o in zip((3, *widths), widths))
        self.up, self.fuse = nn.ModuleList(), nn.ModuleList()
        for deep, skip in zip(widths[:0:-1], widths[-2::-1]):
            self.up.append(nn.ConvTranspose2d(deep, skip, 2, 2) if mode == "transpose" else nn.Conv2d(deep, skip, 1))
            self.fuse.append(DoubleConv(2 * skip, skip))
        self.head = nn.Conv2d(widths[0], 4, 1)

    def forward(self, x):
        skips = []
        for index, block in enumerate(self.down):
            x = block(x if index == 0 else F.max_pool2d(x, 2))
            skips.append(x)
        skips.pop()
        for up, fuse in zip(self.up, self.fuse):
            x = up(x)
            if self.mode == "bilinear":
                x = F.interpolate(x, size=skips[-1].shape[2:], mode="bilinear", align_corners=False)
            elif self.mode == "nearest":
                x = F.interpolate(x, scale_factor=2.0, mode="nearest")
            x = fuse(torch.cat([skips.pop(), x], 1))
        return self.head(x)


@structure
def unet_transpose():
    return Case(UNet("transpose"), {"input": image(3, 64)})


@structure
def unet_resize_bilinear():
    return Case(UNet("bilinear"), {"input": image(3, 64)})


@structure
def unet_resize_nearest():
    return Case(UNet("nearest"), {"input": image(3, 64)})


class AttentionGate(nn.Module):
    def __init__(self, skip, gate, inner):
        super().__init__()
        self.s, self.g, self.p = nn.Conv2d(skip, inner, 1), nn.Conv2d(gate, inner, 1), nn.Conv2d(inner, 1, 1)

    def forward(self, skip, gate):
        return skip * torch.sigmoid(self.p(F.relu(self.s(skip) + self.g(gate))))


class AttentionUNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = DoubleConv(3, 12), DoubleConv(12, 20), DoubleConv(20, 28)
        self.up_b, self.up_a = nn.ConvTranspose2d(28, 20, 2, 2), nn.ConvTranspose2d(20, 12, 2, 2)
        self.gate_b, self.gate_a = AttentionGate(20, 20, 10), AttentionGate(12, 12, 6)
        self.fuse_b, self.fuse_a = DoubleConv(40, 20), DoubleConv(24, 12)
        self.head = nn.Conv2d(12, 1, 1)

    def forward(self, x):
        a = self.a(x)
        b = self.b(F.max_pool2d(a, 2))
        c = self.up_b(self.c(F.avg_pool2d(b, 2)))
        b = self.fuse_b(torch.cat([self.gate_b(b, c), c], 1))
        b = self.up_a(b)
        return torch.sigmoid(self.head(self.fuse_a(torch.cat([self.gate_a(a, b), b], 1))))


@structure
def unet_attention_gates():
    return Case(AttentionUNet(), {"input": image(3, 32)}, ["mask"])


@structure
def autoencoder_grouped_transpose():
    return Case(
        nn.Sequential(
            conv_bn(3, 16, 3, 2), conv_bn(16, 32, 3, 2, g=4), nn.Conv2d(32, 24, 3, 2, 1, bias=True), nn.Tanh(),
            nn.ConvTranspose2d(24, 32, 4, 2, 1, groups=4, bias=False), nn.BatchNorm2d(32), nn.LeakyReLU(0.1),
            nn.ConvTranspose2d(32, 16, 3, 2, 1, 1, groups=16), nn.ELU(),
            nn.ConvTranspose2d(16, 3, 4, 2, 1), nn.Sigmoid(),
        ),
        {"input": image()},
    )  # fmt: skip


class VariationalAutoencoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(conv_bn(1, 12, 3, 2), conv_bn(12, 20, 3, 2), nn.Flatten(), nn.Linear(20 * 49, 56))
        self.mu, self.log_var = nn.Linear(56, 9), nn.Linear(56, 9)
        self.expand = nn.Linear(9, 20 * 49)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(20, 12, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(12, 1, 4, 2, 1), nn.Sigmoid()
        )

    def forward(self, x, noise):
        h = F.relu(self.encoder(x))
        mu, log_var = self.mu(h), self.log_var(h)
        z = mu + noise * torch.exp(0.5 * log_var)
        return self.decoder(self.expand(z).view(-1, 20, 7, 7)), mu, log_var


@structure
def vae():
    inputs = {"input": image(1, 28), "noise": torch.randn(2, 9)}
    return Case(VariationalAutoencoder(), inputs, ["image", "mu", "log_var"])


@structure
def dcgan_generator():
    return Case(
        nn.Sequential(
            nn.Linear(20, 48 * 16, bias=False), nn.Unflatten(1, (48, 4, 4)), nn.BatchNorm2d(48), nn.ReLU(),
            nn.ConvTranspose2d(48, 28, 4, 2, 1, bias=False), nn.BatchNorm2d(28), nn.ReLU(),
            nn.ConvTranspose2d(28, 16, 4, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.ConvTranspose2d(16, 3, 4, 2, 1), nn.Tanh(),
        ),
        {"latent": torch.randn(2, 20)},
        ["image"],
    )  # fmt: skip


@structure
def super_resolution_pixel_shuffle():
    body = [Residual(nn.Sequential(nn.Conv2d(18, 26, 3, 1, 1), nn.PReLU(26), nn.Conv2d(26, 18, 3, 1, 1)))
            for _ in range(3)]  # fmt: skip
    return Case(
        nn.Sequential(
            nn.Conv2d(3, 18, 5, 1, 2), *body, nn.Conv2d(18, 28, 3, 1, 1), nn.PixelShuffle(2), nn.PReLU(),
            nn.Conv2d(7, 12, 3, 1, 1), nn.PixelShuffle(2), nn.Conv2d(3, 3, 3, 1, 1),
        ),
        {"input": image(3, 24)},
        dynamic={"input": {2: "H", 3: "W"}},
    )  # fmt: skip


@structure
def pixel_unshuffle():
    return classifier(nn.PixelUnshuffle(2), conv_bn(12, 20), nn.PixelUnshuffle(2), conv_bn(80, 24), out=24)


class SimpleGate(nn.Module):
    def forward(self, x):
        a, b = x.chunk(2, 1)
        return a * b


class LayerNorm2d(nn.Module):
    """LayerNorm over channels of a planar tensor, in its spelled-out form."""

    def __init__(self, channels):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        mean = x.mean(1, keepdim=True)
        var = (x - mean).pow(2).mean(1, keepdim=True)
        x = (x - mean) / torch.sqrt(var + 1e-6)
        return self.weight[:, None, None] * x + self.bias[:, None, None]


class NafBlock(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.norm1, self.norm2 = LayerNorm2d(c), LayerNorm2d(c)
        self.mix = nn.Sequential(nn.Conv2d(c, 2 * c, 1), nn.Conv2d(2 * c, 2 * c, 3, 1, 1, groups=2 * c), SimpleGate())
        self.attend = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(c, c, 1))
        self.out = nn.Conv2d(c, c, 1)
        self.feed = nn.Sequential(nn.Conv2d(c, 4 * c, 1), SimpleGate(), nn.Conv2d(2 * c, c, 1))
        self.beta = nn.Parameter(torch.ones(1, c, 1, 1))
        self.gamma = nn.Parameter(torch.ones(1, c, 1, 1))

    def forward(self, x):
        h = self.mix(self.norm1(x))
        x = x + self.out(h * self.attend(h)) * self.beta
        return x + self.feed(self.norm2(x)) * self.gamma


@structure
def nafnet_simple_gate():
    net = nn.Sequential(nn.Conv2d(3, 14, 3, 1, 1), NafBlock(14), NafBlock(14), nn.Conv2d(14, 3, 3, 1, 1))
    return Case(Residual(net), {"input": image(3, 24)})


class Hourglass(nn.Module):
    def __init__(self, depth, c):
        super().__init__()
        self.skip = Residual(nn.Sequential(conv_bn(c, c // 2, 1), conv_bn(c // 2, c, 3, act=None)))
        self.low = conv_bn(c, c)
        self.inner = Hourglass(depth - 1, c) if depth > 1 else conv_bn(c, c)
        self.high = conv_bn(c, c)

    def forward(self, x):
        low = self.high(self.inner(self.low(F.max_pool2d(x, 2))))
        return self.skip(x) + F.interpolate(low, scale_factor=2.0, mode="nearest")


class StackedHourglass(nn.Module):
    """Two stacks, each with a heat map that is also fed back."""

    def __init__(self, c=22, joints=7):
        super().__init__()
        self.stem = conv_bn(3, c, 5, 2)
        self.stacks = nn.ModuleList(Hourglass(3, c) for _ in range(2))
        self.heads = nn.ModuleList(nn.Conv2d(c, joints, 1) for _ in range(2))
        self.back = nn.Conv2d(joints, c, 1)

    def forward(self, x):
        x = self.stem(x)
        first = self.stacks[0](x)
        heat = self.heads[0](first)
        return heat, self.heads[1](self.stacks[1](x + first + self.back(heat)))


@structure
def hourglass():
    return Case(StackedHourglass(), {"input": image(3, 32)}, ["heat1", "heat2"])


class Hrnet(nn.Module):
    """Two resolutions kept side by side and exchanged twice."""

    def __init__(self, a=14, b=22):
        super().__init__()
        self.stem, self.split = conv_bn(3, a, 3, 2), conv_bn(a, b, 3, 2)
        self.high = nn.ModuleList(Residual(conv_bn(a, a, act=None)) for _ in range(2))
        self.low = nn.ModuleList(Residual(conv_bn(b, b, act=None)) for _ in range(2))
        self.down = nn.ModuleList(conv_bn(a, b, 3, 2, act=None) for _ in range(2))
        self.up = nn.ModuleList(conv_bn(b, a, 1, act=None) for _ in range(2))
        self.head = nn.Conv2d(a + b, 5, 1)

    def forward(self, x):
        h = self.stem(x)
        low = self.split(h)
        for high_block, low_block, down, up in zip(self.high, self.low, self.down, self.up):
            h, low = high_block(h), low_block(low)
            wide = F.interpolate(up(low), size=h.shape[-2:], mode="bilinear", align_corners=True)
            h, low = F.relu(h + wide), F.relu(low + down(h))
        low = F.interpolate(low, size=h.shape[-2:], mode="nearest")
        return self.head(torch.cat([h, low], 1))


@structure
def hrnet():
    return Case(Hrnet(), {"input": image(3, 32)})


class Aspp(nn.Module):
    """Dilated branches and a pooled one, concatenated."""

    def __init__(self):
        super().__init__()
        self.stem = conv_bn(3, 20, 3, 2)
        self.branches = nn.ModuleList([conv_bn(20, 11, 1), *(conv_bn(20, 11 + d, 3, d=d) for d in (2, 4, 6))])
        self.pooled = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Conv2d(20, 9, 1), nn.ReLU())
        self.project = nn.Sequential(conv_bn(56 + 9, 24, 1), nn.Dropout(0.5), nn.Conv2d(24, 6, 1))

    def forward(self, x):
        size = x.shape[2:]
        x = self.stem(x)
        parts = [branch(x) for branch in self.branches]
        parts.append(self.pooled(x).expand(-1, -1, x.shape[2], x.shape[3]))
        return F.interpolate(self.project(torch.cat(parts, 1)), size=size, mode="bilinear", align_corners=False)


@structure
def aspp_segmentation():
    return Case(Aspp(), {"input": image(3, 32)}, dynamic={"input": {2: "H", 3: "W"}})


class PyramidPooling(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = conv_bn(3, 24, 3, 2)
        self.levels = nn.ModuleList(
            nn.Sequential(nn.AvgPool2d(k, k), conv_bn(24, w, 1)) for k, w in ((16, 5), (8, 7), (4, 9))
        )
        self.head = nn.Conv2d(24 + 21, 4, 3, padding=1)

    def forward(self, x):
        x = self.stem(x)
        ups = [F.interpolate(level(x), (16, 16), mode="bilinear", align_corners=False) for level in self.levels]
        return self.head(torch.cat([x, *ups], 1)).argmax(1, keepdim=True)


@structure
def pyramid_pooling_argmax():
    return Case(PyramidPooling(), {"input": image(3, 32)}, ["classes"])


# --- Detectors -------------------------------------------------------------------------------------------------


class Bottleneck(nn.Module):
    def __init__(self, i, o, shortcut=True):
        super().__init__()
        self.a, self.b = conv_bn(i, o, 1, act=nn.SiLU), conv_bn(o, o, 3, act=nn.SiLU)
        self.add = shortcut and i == o

    def forward(self, x):
        y = self.b(self.a(x))
        return x + y if self.add else y


class C3(nn.Module):
    def __init__(self, i, o, n=1, shortcut=True):
        super().__init__()
        h = o // 2
        self.a, self.b = conv_bn(i, h, 1, act=nn.SiLU), conv_bn(i, h, 1, act=nn.SiLU)
        self.m = nn.Sequential(*(Bottleneck(h, h, shortcut) for _ in range(n)))
        self.out = conv_bn(2 * h, o, 1, act=nn.SiLU)

    def forward(self, x):
        return self.out(torch.cat([self.m(self.a(x)), self.b(x)], 1))


class C2f(nn.Module):
    def __init__(self, i, o, n=1, shortcut=True):
        super().__init__()
        self.h = o // 2
        self.a = conv_bn(i, 2 * self.h, 1, act=nn.SiLU)
        self.m = nn.ModuleList(Bottleneck(self.h, self.h, shortcut) for _ in range(n))
        self.out = conv_bn((2 + n) * self.h, o, 1, act=nn.SiLU)

    def forward(self, x):
        parts = list(self.a(x).split((self.h, self.h), 1)) if len(self.m) > 1 else list(self.a(x).chunk(2, 1))
        for block in self.m:
            parts.append(block(parts[-1]))
        return self.out(torch.cat(parts, 1))


class Sppf(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.a, self.out = conv_bn(i, i // 2, 1, act=nn.SiLU), conv_bn(i // 2 * 4, o, 1, act=nn.SiLU)
        self.pool = nn.MaxPool2d(5, 1, 2)

    def forward(self, x):
        parts = [self.a(x)]
        for _ in range(3):
            parts.append(self.pool(parts[-1]))
        return self.out(torch.cat(parts, 1))


class Focus(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.conv = conv_bn(4 * i, o, 3, act=nn.SiLU)

    def forward(self, x):
        parts = [x[..., ::2, ::2], x[..., 1::2, ::2], x[..., ::2, 1::2], x[..., 1::2, 1::2]]
        return self.conv(torch.cat(parts, 1))


class YoloBody(nn.Module):
    """Backbone, spatial pyramid and a path-aggregation neck."""

    def __init__(self, stem, block, w=(8, 16, 24, 32)):
        super().__init__()
        def down(i, o):
            return conv_bn(i, o, 3, 2, act=nn.SiLU)

        self.stem, self.up = stem, nn.Upsample(scale_factor=2, mode="nearest")
        self.d = nn.ModuleList(nn.Sequential(down(i, o), block(o, o, 2)) for i, o in zip(w, w[1:]))
        self.sppf = Sppf(w[3], w[3])
        self.lat4, self.lat3 = conv_bn(w[3], w[2], 1, act=nn.SiLU), conv_bn(w[2], w[1], 1, act=nn.SiLU)
        self.p4, self.p3 = block(2 * w[2], w[2], 1, False), block(2 * w[1], w[1], 1, False)
        self.down3, self.down4 = down(w[1], w[1]), down(w[2], w[2])
        self.n4, self.n5 = block(2 * w[1], w[2], 1, False), block(2 * w[2], w[3], 1, False)
        self.widths = w[1:]

    def forward(self, x):
        c3 = self.d[0](self.stem(x))
        c4 = self.d[1](c3)
        c5 = self.lat4(self.sppf(self.d[2](c4)))
        p4 = self.lat3(self.p4(torch.cat([self.up(c5), c4], 1)))
        p3 = self.p3(torch.cat([self.up(p4), c3], 1))
        n4 = self.n4(torch.cat([self.down3(p3), p4], 1))
        n5 = self.n5(torch.cat([self.down4(n4), c5], 1))
        return [p3, n4, n5]


def cell_grid(h, w):
    ys, xs = torch.arange(h).float(), torch.arange(w).float()
    return torch.stack([xs[None, :].expand(h, w), ys[:, None].expand(h, w)], -1)


class Yolo5(nn.Module):
    """Anchors: each map is viewed as [anchor, cell, box+objectness+classes] and decoded."""

    def __init__(self, stem, classes=4, anchors=3):
        super().__init__()
        self.body = YoloBody(stem, C3)
        self.na, self.no = anchors, classes + 5
        self.heads = nn.ModuleList(nn.Conv2d(w, self.na * self.no, 1) for w in self.body.widths)
        self.register_buffer("anchors", torch.rand(3, 1, anchors, 1, 1, 2) * 20 + 4)

    def forward(self, x):
        out = []
        for level, (head, f) in enumerate(zip(self.heads, self.body(x))):
            f = head(f)
            n, _, h, w = f.shape
            f = f.view(n, self.na, self.no, h, w).permute(0, 1, 3, 4, 2).contiguous().sigmoid()
            xy, wh, rest = f.split((2, 2, self.no - 4), 4)
            xy = (xy * 2 - 0.5 + cell_grid(16 >> level, 16 >> level)) * (4 << level)
            wh = (wh * 2) ** 2 * self.anchors[level]
            out.append(torch.cat([xy, wh, rest], 4).view(n, -1, self.no))
        return torch.cat(out, 1)


@structure
def yolov5_focus():
    return Case(Yolo5(Focus(3, 8)), {"images": image(3, 64)}, ["boxes"])


@structure
def yolov5_stem6():
    stem = nn.Sequential(nn.Conv2d(3, 8, 6, 2, 2, bias=False), nn.BatchNorm2d(8), nn.SiLU())
    return Case(Yolo5(stem), {"images": image(3, 64)}, ["boxes"])


class Yolo8(nn.Module):
    """Anchor free: box sides are distributions, whose mean is a convolution with fixed weights."""

    def __init__(self, classes=5, bins=8):
        super().__init__()
        self.body = YoloBody(conv_bn(3, 8, 3, 2, act=nn.SiLU), C2f)
        self.classes, self.bins = classes, bins
        self.box = nn.ModuleList(
            nn.Sequential(conv_bn(w, 16, act=nn.SiLU), conv_bn(16, 16, act=nn.SiLU), nn.Conv2d(16, 4 * bins, 1))
            for w in self.body.widths
        )
        self.cls = nn.ModuleList(
            nn.Sequential(conv_bn(w, 20, act=nn.SiLU), nn.Conv2d(20, classes, 1)) for w in self.body.widths
        )
        self.register_buffer("project", torch.arange(bins).float().view(1, bins, 1, 1))
        cells = [(cell_grid(n, n).view(-1, 2) + 0.5).T for n in (16, 8, 4)]
        self.register_buffer("centres", torch.cat(cells, 1))
        self.register_buffer("strides", torch.cat([torch.full((1, n * n), 64.0 / n) for n in (16, 8, 4)], 1))

    def forward(self, x):
        maps = [torch.cat([b(f), c(f)], 1) for b, c, f in zip(self.box, self.cls, self.body(x))]
        n = x.shape[0]
        flat = torch.cat([m.view(n, 4 * self.bins + self.classes, -1) for m in maps], 2)
        box, cls = flat.split((4 * self.bins, self.classes), 1)
        box = box.view(n, 4, self.bins, -1).transpose(2, 1).softmax(1)
        box = F.conv2d(box, self.project).view(n, 4, -1)
        near, far = box.chunk(2, 1)
        low, high = self.centres - near, self.centres + far
        box = torch.cat([(low + high) / 2, high - low], 1) * self.strides
        return torch.cat([box, cls.sigmoid()], 1)


@structure
def yolov8():
    return Case(Yolo8(), {"images": image(3, 64)}, ["boxes"])


class Ssd(nn.Module):
    """Multi-scale heads, permuted to channels last and laid end to end."""

    def __init__(self, classes=4, anchors=3):
        super().__init__()
        w = (16, 24, 40)
        self.stages = nn.ModuleList(conv_bn(i, o, 3, 2, act=nn.ReLU6) for i, o in zip((3, *w), w))
        self.loc = nn.ModuleList(nn.Conv2d(c, anchors * 4, 3, 1, 1) for c in w)
        self.conf = nn.ModuleList(nn.Conv2d(c, anchors * classes, 3, 1, 1) for c in w)
        self.classes = classes

    def forward(self, x):
        loc, conf = [], []
        for stage, to_loc, to_conf in zip(self.stages, self.loc, self.conf):
            x = stage(x)
            loc.append(to_loc(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, 4))
            conf.append(to_conf(x).permute(0, 2, 3, 1).reshape(x.shape[0], -1, self.classes))
        return torch.cat(loc, 1), torch.cat(conf, 1).softmax(-1)


@structure
def ssd_heads():
    return Case(Ssd(), {"input": image(3, 32)}, ["loc", "conf"])


class CenterNet(nn.Module):
    """The peak picking of keypoint detectors: max-pool comparison, top-k and gathers."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(conv_bn(3, 16, 3, 2), conv_bn(16, 24), conv_bn(24, 20))
        self.heat = nn.Sequential(conv_bn(20, 14), nn.Conv2d(14, 3, 1), nn.Sigmoid())
        self.size = nn.Sequential(conv_bn(20, 10), nn.Conv2d(10, 2, 1), nn.Softplus())

    def forward(self, x):
        x = self.body(x)
        heat, size = self.heat(x), self.size(x)
        peaks = heat * (F.max_pool2d(heat, 3, 1, 1) == heat).float()
        score, index = peaks.flatten(1).topk(5)
        cell = (index % 256)[:, None, :].expand(-1, 2, -1)
        return score, index, size.flatten(2).gather(2, cell)


@structure
def centernet_topk():
    return Case(CenterNet(), {"input": image(3, 32)}, ["score", "index", "size"])


class BiFpn(nn.Module):
    """Weighted fusion: scalar weights normalized inside the graph."""

    def __init__(self, c=18):
        super().__init__()
        self.a, self.b, self.c = conv_bn(3, 12, 3, 2), conv_bn(12, 20, 3, 2), conv_bn(20, 28, 3, 2)
        self.lateral = nn.ModuleList(conv_bn(i, c, 1, act=None) for i in (12, 20, 28))
        self.weights = nn.ParameterList(nn.Parameter(torch.rand(n) + 0.2) for n in (2, 2, 3))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.Conv2d(c, c, 3, 1, 1, groups=c), conv_bn(c, c, 1, act=nn.SiLU)) for _ in range(3)
        )
        self.head = nn.Conv2d(c, 6, 3, 1, 1)

    def fuse(self, index, *maps):
        w = F.relu(self.weights[index])
        w = w / (w.sum() + 1e-4)
        total = sum(w[i] * m for i, m in enumerate(maps))
        return self.blocks[index](F.silu(total))

    def forward(self, x):
        a = self.a(x)
        b = self.b(a)
        c = self.c(b)
        a, b, c = (lateral(m) for lateral, m in zip(self.lateral, (a, b, c)))
        mid = self.fuse(0, b, F.interpolate(c, scale_factor=2.0, mode="nearest"))
        top = self.fuse(1, a, F.interpolate(mid, scale_factor=2.0, mode="nearest"))
        low = self.fuse(2, b, mid, F.max_pool2d(top, 3, 2, 1))
        return self.head(top), self.head(low)


@structure
def bifpn_shared_head():
    return Case(BiFpn(), {"input": image(3, 32)}, ["high", "low"])


class DetrLike(nn.Module):
    """A convolutional front end, an encoder, learned queries and a decoder with cross attention."""

    def __init__(self, d=32):
        super().__init__()
        self.body = nn.Sequential(conv_bn(3, 16, 3, 2), conv_bn(16, 24, 3, 2), nn.Conv2d(24, d, 1))
        self.pos = nn.Parameter(torch.randn(1, 64, d))
        self.query = nn.Parameter(torch.randn(1, 7, d))
        self.encoder = nn.TransformerEncoderLayer(d, 4, 48, batch_first=True)
        self.decoder = nn.TransformerDecoderLayer(d, 4, 48, batch_first=True)
        self.cls, self.box = nn.Linear(d, 5), nn.Sequential(nn.Linear(d, 28), nn.ReLU(), nn.Linear(28, 4))

    def forward(self, x):
        memory = self.encoder(self.body(x).flatten(2).transpose(1, 2) + self.pos)
        y = self.decoder(self.query.expand(x.shape[0], -1, -1), memory)
        return self.cls(y), self.box(y).sigmoid()


@structure
def detr_queries():
    return Case(DetrLike(), {"input": image(3, 32)}, ["logits", "boxes"])


# --- Convolutional classifiers ---------------------------------------------------------------------------------


class ShuffleUnit(nn.Module):
    def __init__(self, i, o, groups, stride, first=False):
        super().__init__()
        self.stride, self.groups = stride, groups
        o = o - i if stride == 2 else o
        h = o // 4 // groups * groups
        self.a = conv_bn(i, h, 1, g=1 if first else groups)
        self.b = conv_bn(h, h, 3, stride, g=h, act=None)
        self.c = conv_bn(h, o, 1, g=groups, act=None)

    def forward(self, x):
        y = self.a(x)
        n, c, h, w = y.shape
        y = y.view(n, self.groups, c // self.groups, h, w).transpose(1, 2).contiguous().view(n, c, h, w)
        y = self.c(self.b(y))
        if self.stride == 2:
            return F.relu(torch.cat([F.avg_pool2d(x, 3, 2, 1), y], 1))
        return F.relu(x + y)


@structure
def shufflenet_v1():
    g = 3
    return classifier(
        conv_bn(3, 24, 3, 1), ShuffleUnit(24, 120, g, 2, True), ShuffleUnit(120, 120, g, 1),
        ShuffleUnit(120, 240, g, 2), ShuffleUnit(240, 240, g, 1), out=240,
    )  # fmt: skip


class SqueezeExcite(nn.Module):
    def __init__(self, c, r=4, linear=False, gate=torch.sigmoid):
        super().__init__()
        self.linear, self.gate = linear, gate
        self.a = nn.Linear(c, c // r) if linear else nn.Conv2d(c, c // r, 1)
        self.b = nn.Linear(c // r, c) if linear else nn.Conv2d(c // r, c, 1)

    def forward(self, x):
        s = x.mean((2, 3), keepdim=not self.linear) if self.linear else F.adaptive_avg_pool2d(x, 1)
        s = self.gate(self.b(F.relu(self.a(s))))
        return x * (s[:, :, None, None] if self.linear else s)


class EfficientChannel(nn.Module):
    """A 1-D convolution along the channel axis."""

    def __init__(self, k=3):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, k, padding=k // 2, bias=False)

    def forward(self, x):
        s = F.adaptive_avg_pool2d(x, 1).squeeze(-1).transpose(-1, -2)
        return x * torch.sigmoid(self.conv(s).transpose(-1, -2).unsqueeze(-1))


class Cbam(nn.Module):
    """Channel attention by two pools through one shared MLP, then spatial attention by statistics over channels."""

    def __init__(self, c, r=4):
        super().__init__()
        self.mlp = nn.Sequential(nn.Conv2d(c, c // r, 1, bias=False), nn.ReLU(), nn.Conv2d(c // r, c, 1, bias=False))
        self.spatial = nn.Conv2d(2, 1, 7, padding=3, bias=False)

    def forward(self, x):
        pooled = self.mlp(F.adaptive_avg_pool2d(x, 1)) + self.mlp(F.adaptive_max_pool2d(x, 1))
        x = x * torch.sigmoid(pooled)
        stats = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True).values], 1)
        return x * torch.sigmoid(self.spatial(stats))


def attention_blocks(make):
    blocks = []
    for i, o in ((18, 18), (18, 28), (28, 28)):
        body = nn.Sequential(conv_bn(i, o, 3), conv_bn(o, o, 3, act=None), make(o))
        blocks += [Residual(body) if i == o else body, nn.ReLU()]
    return classifier(conv_bn(3, 18, 3, 2), *blocks, out=28)


@structure
def se_net():
    return attention_blocks(SqueezeExcite)


@structure
def se_net_linear():
    return attention_blocks(lambda c: SqueezeExcite(c, linear=True, gate=F.hardsigmoid))


@structure
def eca_net():
    return attention_blocks(lambda c: EfficientChannel())


@structure
def cbam_net():
    return attention_blocks(Cbam)


class CoordinateAttention(nn.Module):
    def __init__(self, c, r=10):
        super().__init__()
        self.mix, self.h, self.w = conv_bn(c, r, 1, act=nn.Hardswish), nn.Conv2d(r, c, 1), nn.Conv2d(r, c, 1)

    def forward(self, x):
        rows, cols = x.mean(3, keepdim=True), x.mean(2, keepdim=True).transpose(2, 3)
        y = self.mix(torch.cat([rows, cols], 2))
        rows, cols = y.split([x.shape[2], x.shape[3]], 2)
        return x * self.h(rows).sigmoid() * self.w(cols.transpose(2, 3)).sigmoid()


@structure
def coordinate_attention():
    return attention_blocks(CoordinateAttention)


class SelectiveKernel(nn.Module):
    """Branches weighted by a softmax across branches."""

    def __init__(self, c, r=12):
        super().__init__()
        self.branches = nn.ModuleList([conv_bn(c, c), conv_bn(c, c, d=2)])
        self.squeeze, self.expand = nn.Linear(c, r), nn.Linear(r, 2 * c)

    def forward(self, x):
        maps = torch.stack([branch(x) for branch in self.branches], 1)
        s = F.relu(self.squeeze(maps.sum(1).mean((2, 3))))
        w = self.expand(s).view(x.shape[0], 2, -1, 1, 1).softmax(1)
        return (maps * w).sum(1)


@structure
def selective_kernel():
    return attention_blocks(SelectiveKernel)


def norm_net(make):
    def block(i, o, s=1):
        return nn.Sequential(nn.Conv2d(i, o, 3, s, 1, bias=False), make(o), nn.ReLU())

    def residual(c):
        return Residual(nn.Sequential(block(c, c), nn.Conv2d(c, c, 3, 1, 1), make(c)))

    return classifier(block(3, 24), residual(24), block(24, 40, 2), residual(40), out=40)


@structure
def group_norm_net():
    return norm_net(lambda c: nn.GroupNorm(c // 8, c))


@structure
def group_norm_single():
    return norm_net(lambda c: nn.GroupNorm(1, c))


@structure
def instance_norm_net():
    return norm_net(lambda c: nn.InstanceNorm2d(c, affine=True))


@structure
def instance_norm_plain():
    return norm_net(lambda c: nn.InstanceNorm2d(c))


@structure
def local_response_norm():
    return norm_net(lambda c: nn.LocalResponseNorm(5))


class DenseLayer(nn.Module):
    def __init__(self, i, growth, reduce):
        super().__init__()
        self.a = nn.Sequential(nn.BatchNorm2d(i), nn.ReLU(), nn.Conv2d(i, reduce, 1, bias=False))
        self.b = nn.Sequential(nn.BatchNorm2d(reduce), nn.ReLU(), nn.Conv2d(reduce, growth, 3, 1, 1, bias=False))

    def forward(self, x):
        return torch.cat([x, self.b(self.a(x))], 1)


@structure
def dense_net():
    """BatchNorm comes before the convolution, over concatenated channels: it cannot be folded into a producer."""
    c, layers = 14, [nn.Conv2d(3, 14, 3, 1, 1, bias=False)]
    for block in range(2):
        for _ in range(3):
            layers.append(DenseLayer(c, 6, 17))
            c += 6
        if block == 0:
            layers += [nn.BatchNorm2d(c), nn.ReLU(), nn.Conv2d(c, 15, 1, bias=False), nn.AvgPool2d(2)]
            c = 15
    return classifier(*layers, nn.BatchNorm2d(c), nn.ReLU(), out=c)


class InvertedResidual(nn.Module):
    def __init__(self, i, h, o, k, s, se, act):
        super().__init__()
        layers = [conv_bn(i, h, 1, act=act), conv_bn(h, h, k, s, g=h, act=act)]
        if se:
            layers.append(SqueezeExcite(h, gate=F.hardsigmoid))
        self.body = nn.Sequential(*layers, conv_bn(h, o, 1, act=None))
        self.add = s == 1 and i == o

    def forward(self, x):
        return x + self.body(x) if self.add else self.body(x)


@structure
def mobilenet_v3_tiny():
    return classifier(
        conv_bn(3, 12, 3, 2, act=nn.Hardswish),
        InvertedResidual(12, 12, 12, 3, 1, True, nn.ReLU), InvertedResidual(12, 40, 20, 3, 2, False, nn.ReLU),
        InvertedResidual(20, 52, 20, 5, 1, True, nn.Hardswish), InvertedResidual(20, 60, 28, 5, 2, True, nn.Hardswish),
        InvertedResidual(28, 84, 28, 5, 1, True, nn.Hardswish), conv_bn(28, 90, 1, act=nn.Hardswish), out=90,
    )  # fmt: skip


class Res2Block(nn.Module):
    """Channels split in four; each part is convolved after the previous result was added."""

    def __init__(self, c=32, w=9, scale=4):
        super().__init__()
        self.w = w
        self.a, self.out = conv_bn(c, w * scale, 1), conv_bn(w * scale, c, 1, act=None)
        self.convs = nn.ModuleList(conv_bn(w, w) for _ in range(scale - 1))

    def forward(self, x):
        parts = torch.split(self.a(x), self.w, 1)
        done = [parts[0]]
        for conv, part in zip(self.convs, parts[1:]):
            done.append(conv(part if len(done) == 1 else part + done[-1]))
        return F.relu(x + self.out(torch.cat(done, 1)))


@structure
def res2net():
    return classifier(conv_bn(3, 32, 3, 2), Res2Block(), Res2Block(), out=32)


class GhostModule(nn.Module):
    def __init__(self, i, o):
        super().__init__()
        self.o, h = o, (o + 1) // 2
        self.primary, self.cheap = conv_bn(i, h, 1), conv_bn(h, h, 3, g=h)

    def forward(self, x):
        a = self.primary(x)
        return torch.cat([a, self.cheap(a)], 1)[:, : self.o]


@structure
def ghostnet():
    return classifier(
        conv_bn(3, 16, 3, 2), GhostModule(16, 37), conv_bn(37, 37, 3, 2, g=37, act=None), GhostModule(37, 25),
        Residual(nn.Sequential(GhostModule(25, 51), GhostModule(51, 25))), out=25,
    )  # fmt: skip


class Inception(nn.Module):
    def __init__(self, i):
        super().__init__()
        self.a = conv_bn(i, 7, 1)
        self.b = nn.Sequential(conv_bn(i, 9, 1), conv_bn(9, 11, 3))
        self.c = nn.Sequential(
            conv_bn(i, 5, 1), nn.Conv2d(5, 8, (1, 5), padding=(0, 2)), nn.Conv2d(8, 6, (5, 1), padding=(2, 0))
        )
        self.d = nn.Sequential(nn.AvgPool2d(3, 1, 1, count_include_pad=False), conv_bn(i, 4, 1))

    def forward(self, x):
        return torch.cat([self.a(x), self.b(x), self.c(x), self.d(x)], 1)


@structure
def inception_branches():
    return classifier(conv_bn(3, 12, 3, 2), Inception(12), nn.MaxPool2d(2, ceil_mode=True), Inception(28), out=28)


class RepVgg(nn.Module):
    """3x3, 1x1 and identity-BatchNorm branches summed: pins nothing, but ties input and output."""

    def __init__(self, c):
        super().__init__()
        self.a, self.b, self.c = conv_bn(c, c, 3, act=None), conv_bn(c, c, 1, act=None), nn.BatchNorm2d(c)

    def forward(self, x):
        return F.relu(self.a(x) + self.b(x) + self.c(x))


@structure
def repvgg():
    return classifier(conv_bn(3, 21, 3, 2), RepVgg(21), RepVgg(21), conv_bn(21, 33, 3, 2), RepVgg(33), out=33)


class PreActivation(nn.Module):
    def __init__(self, i, o, s):
        super().__init__()
        self.norm1, self.a = nn.BatchNorm2d(i), nn.Conv2d(i, o, 3, s, 1, bias=False)
        self.norm2, self.b = nn.BatchNorm2d(o), nn.Conv2d(o, o, 3, 1, 1, bias=False)
        self.short = nn.Conv2d(i, o, 1, s, bias=False) if i != o else None

    def forward(self, x):
        y = F.relu(self.norm1(x))
        short = self.short(y) if self.short else x
        return short + self.b(F.relu(self.norm2(self.a(y))))


@structure
def resnet_preactivation():
    return classifier(
        nn.Conv2d(3, 14, 3, 1, 1), PreActivation(14, 14, 1), PreActivation(14, 26, 2), PreActivation(26, 26, 1),
        nn.BatchNorm2d(26), nn.ReLU(), out=26,
    )  # fmt: skip


class PaddedShortcut(nn.Module):
    """The original CIFAR ResNet: a strided slice padded with zero channels in place of a projection."""

    def __init__(self, i, o):
        super().__init__()
        self.extra = o - i
        self.body = nn.Sequential(conv_bn(i, o, 3, 2), conv_bn(o, o, 3, act=None))

    def forward(self, x):
        short = F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.extra // 2, self.extra - self.extra // 2))
        return F.relu(short + self.body(x))


@structure
def resnet_padded_shortcut():
    return classifier(
        conv_bn(3, 16), Residual(conv_bn(16, 16, act=None)), PaddedShortcut(16, 27), PaddedShortcut(27, 44), out=44
    )


@structure
def resnext_grouped():
    def block(c, h, g):
        return Residual(nn.Sequential(conv_bn(c, h, 1), conv_bn(h, h, 3, g=g), conv_bn(h, c, 1, act=None)))

    return classifier(conv_bn(3, 28, 3, 2), block(28, 32, 8), nn.ReLU(), block(28, 30, 5), nn.ReLU(), out=28)


@structure
def depthwise_multiplier():
    """Depthwise convolutions with several outputs a channel."""
    return classifier(
        conv_bn(3, 12, 3, 2), conv_bn(12, 36, 3, g=12), conv_bn(36, 20, 1), conv_bn(20, 40, 5, 2, g=20), out=40
    )


class OctaveConv(nn.Module):
    def __init__(self, hi, li, ho, lo):
        super().__init__()
        self.hh, self.hl = nn.Conv2d(hi, ho, 3, 1, 1), nn.Conv2d(hi, lo, 3, 1, 1)
        self.lh, self.ll = nn.Conv2d(li, ho, 3, 1, 1), nn.Conv2d(li, lo, 3, 1, 1)

    def forward(self, h, low):
        high = self.hh(h) + F.interpolate(self.lh(low), scale_factor=2.0, mode="nearest")
        return F.relu(high), F.relu(self.ll(low) + self.hl(F.avg_pool2d(h, 2)))


class Octave(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = conv_bn(3, 25, 3, 2)
        self.a, self.b = OctaveConv(16, 9, 18, 7), OctaveConv(18, 7, 14, 11)
        self.head = nn.Linear(25, 10)

    def forward(self, x):
        h, low = self.stem(x).split([16, 9], 1)
        h, low = self.b(*self.a(h, F.avg_pool2d(low, 2)))
        return self.head(torch.cat([h.mean((2, 3)), low.mean((2, 3))], 1))


@structure
def octave_conv():
    return Case(Octave(), {"input": image()})


class CoordConv(nn.Module):
    """Constant coordinate planes concatenated to the data."""

    def __init__(self):
        super().__init__()
        line = torch.linspace(-1, 1, 32)
        self.register_buffer("planes", torch.stack([line[None, :].expand(32, 32), line[:, None].expand(32, 32)])[None])
        self.conv, self.tail, self.head = conv_bn(5, 17, 3, 2), conv_bn(17, 23), Head(23)

    def forward(self, x):
        planes = self.planes.expand(x.shape[0], -1, -1, -1)
        return self.head(self.tail(self.conv(torch.cat([x, planes], 1))))


@structure
def coord_conv():
    return Case(CoordConv(), {"input": image()})


@structure
def activations():
    """One of each activation that exporters spell differently."""
    kinds = [nn.PReLU(19), nn.PReLU(), nn.SELU(), nn.CELU(0.7), nn.GELU(), nn.GELU(approximate="tanh"), nn.Mish(),
             nn.Hardtanh(-1, 2), nn.Softsign(), nn.LogSigmoid(), nn.Softplus(2.0), nn.Hardswish(), nn.SiLU(),
             nn.LeakyReLU(0.2), nn.Threshold(0.0, 0.0), nn.Tanhshrink(), nn.Softshrink(0.3)]  # fmt: skip
    layers = [conv_bn(3, 19, 3, 2, act=None)]
    for kind in kinds:
        layers += [kind, Residual(nn.Conv2d(19, 19, 1))]
    return classifier(*layers, out=19)


@structure
def paddings():
    """Every padding mode, same padding with an even kernel, and cropping by negative pads."""
    return classifier(
        nn.ReflectionPad2d(2), nn.Conv2d(3, 13, 5), nn.ReLU(), nn.ReplicationPad2d(1), nn.Conv2d(13, 17, 3), nn.ReLU(),
        nn.ConstantPad2d((1, 2, 0, 1), 0.5), nn.Conv2d(17, 15, 2, padding="same"), nn.ZeroPad2d(-2), nn.SiLU(),
        nn.Conv2d(15, 12, 3, padding=1, padding_mode="circular"), nn.Conv2d(12, 16, (3, 1), (2, 1), (1, 0)), out=16,
    )  # fmt: skip


@structure
def poolings():
    return classifier(
        conv_bn(3, 14), nn.MaxPool2d(3, 2, 1, ceil_mode=True), nn.AvgPool2d(3, 1, 1), conv_bn(14, 18),
        nn.LPPool2d(2, 2), nn.AdaptiveAvgPool2d(4), nn.MaxPool2d(2, 1, dilation=2), nn.Flatten(), nn.Linear(72, 26),
        nn.ReLU(), nn.Unflatten(1, (26, 1, 1)), out=26,
    )  # fmt: skip


@structure
def flatten_classifier():
    """VGG style: a linear layer over flattened channels and positions, so a channel is a block of columns."""
    return Case(
        nn.Sequential(
            conv_bn(3, 14), nn.MaxPool2d(2), conv_bn(14, 22), nn.MaxPool2d(2), nn.Conv2d(22, 18, 3), nn.ReLU(),
            nn.Flatten(), nn.Linear(18 * 36, 61), nn.ReLU(), nn.Dropout(), nn.Linear(61, 47), nn.BatchNorm1d(47),
            nn.ReLU(), nn.Linear(47, 10),
        ),
        {"input": image()},
    )  # fmt: skip


@structure
def fully_convolutional_softmax():
    return Case(
        nn.Sequential(conv_bn(3, 15, 3, 2), conv_bn(15, 27, 3, 2), nn.Conv2d(27, 10, 1), nn.AdaptiveAvgPool2d(1),
                      nn.Flatten(), nn.LogSoftmax(1)),
        {"input": image()},
    )  # fmt: skip


class MultiHead(nn.Module):
    """Four outputs taken at different depths, an input used twice, and a value that is output and used."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = conv_bn(3, 13, 3, 2), conv_bn(13, 21, 3, 2), conv_bn(21 + 3, 29)
        self.h1, self.h2, self.h3 = Head(13, 4), Head(29, 5), nn.Conv2d(29, 1, 1)

    def forward(self, x):
        a = self.a(x)
        b = self.b(a)
        c = self.c(torch.cat([b, F.avg_pool2d(x, 4)], 1))
        return self.h1(a), b, self.h2(c), self.h3(c)


@structure
def multi_output_taps():
    return Case(MultiHead(), {"input": image()}, ["early", "features", "label", "map"])


class Siamese(nn.Module):
    """One trunk applied to two inputs."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(conv_bn(3, 14, 3, 2), conv_bn(14, 22, 3, 2), Residual(conv_bn(22, 22, act=None)))
        self.embed = nn.Linear(22, 17)
        self.head = nn.Linear(2 * 17 + 1, 2)

    def one(self, x):
        return F.normalize(self.embed(self.trunk(x).mean((2, 3))), dim=1)

    def forward(self, left, right):
        a, b = self.one(left), self.one(right)
        cosine = (a * b).sum(1, keepdim=True)
        return self.head(torch.cat([(a - b).abs(), a + b, cosine], 1)), cosine


@structure
def siamese():
    return Case(Siamese(), {"left": image(), "right": image()}, ["logits", "cosine"])


class SharedResidual(nn.Module):
    """One convolution applied over and over: its input and output channels are one."""

    def __init__(self):
        super().__init__()
        self.stem, self.block, self.head = conv_bn(3, 19, 3, 2), conv_bn(19, 19, act=None), Head(19)
        self.norms = nn.ModuleList(nn.BatchNorm2d(19) for _ in range(3))

    def forward(self, x):
        x = self.stem(x)
        for norm in self.norms:
            x = x + F.relu(norm(self.block(x)))
        return self.head(x)


@structure
def shared_weights_loop():
    return Case(SharedResidual(), {"input": image()})


class ShapeArithmetic(nn.Module):
    """Views computed from x.shape: products, quotients, -1, flattening two axes at a time."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.fc = conv_bn(3, 24, 3, 2), nn.Conv2d(24, 30, 1), nn.Linear(30, 16)
        self.head = nn.Linear(16 * 4, 10)

    def forward(self, x):
        x = self.a(x)
        n, c, h, w = x.shape
        x = x.view(n * 2, c // 2, h * w).reshape(n, -1, h, w)
        x = self.b(x)
        c = x.size(1)
        x = x.permute(0, 2, 3, 1).reshape(n * h * w, c)
        x = F.relu(self.fc(x)).view(n, h, w, -1)
        x = x.view(n, 2, h // 2, 2, w // 2, x.shape[-1]).mean((2, 4))
        return self.head(x.flatten(1))


@structure
def shape_arithmetic():
    return Case(ShapeArithmetic(), {"input": image()})


class SpaceToBatch(nn.Module):
    """Windows cut out of a map, processed as a batch and put back (as in Swin), with a roll."""

    def __init__(self, c=20, window=4):
        super().__init__()
        self.window = window
        self.stem, self.mix, self.head = conv_bn(3, c, 3, 2), nn.Linear(c, c), Head(c)

    def forward(self, x):
        x = torch.roll(self.stem(x).permute(0, 2, 3, 1), (-2, -2), (1, 2))
        n, h, w, c = x.shape
        k = self.window
        x = x.view(n, h // k, k, w // k, k, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, k * k, c)
        x = x + F.gelu(self.mix(x))
        x = x.view(-1, h // k, w // k, k, k, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        return self.head(torch.roll(x, (2, 2), (1, 2)).permute(0, 3, 1, 2))


@structure
def window_partition():
    return Case(SpaceToBatch(), {"input": image()})


class ConstantGather(nn.Module):
    """Channels reordered, duplicated and dropped by constant indices, flips and slices with steps."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = conv_bn(3, 20, 3, 2), conv_bn(20, 16), conv_bn(12, 18)
        self.register_buffer("order", torch.randperm(20))
        self.register_buffer("pick", torch.tensor([0, 3, 3, 5, 7, 9, 11, 13]))
        self.head = Head(18)

    def forward(self, x):
        x = self.b(self.a(x)[:, self.order])
        x = torch.cat([x.index_select(1, self.pick), x[:, 1::4].flip(1)], 1)
        return self.head(self.c(x))


@structure
def constant_gather():
    return Case(ConstantGather(), {"input": image()})


class SpatialTransformer(nn.Module):
    def __init__(self):
        super().__init__()
        self.locate = nn.Sequential(conv_bn(1, 10, 5, 2), conv_bn(10, 14, 5, 2), nn.Flatten(), nn.Linear(14 * 49, 22),
                                    nn.ReLU(), nn.Linear(22, 6))  # fmt: skip
        self.body = nn.Sequential(conv_bn(1, 15, 3, 2), Head(15))
        ys, xs = torch.meshgrid(torch.linspace(-1, 1, 28), torch.linspace(-1, 1, 28), indexing="ij")
        self.register_buffer("base", torch.stack([xs, ys, torch.ones(28, 28)], -1).view(1, 784, 3))

    def forward(self, x):
        theta = self.locate(x).view(-1, 2, 3).transpose(1, 2)
        grid = torch.matmul(self.base, theta).view(-1, 28, 28, 2)
        return self.body(F.grid_sample(x, grid, align_corners=False))


@structure
def spatial_transformer():
    return Case(SpatialTransformer(), {"input": image(1, 28)})


class ConvNextBlock(nn.Module):
    def __init__(self, c, h):
        super().__init__()
        self.depthwise, self.norm = nn.Conv2d(c, c, 7, padding=3, groups=c), nn.LayerNorm(c, eps=1e-6)
        self.a, self.b = nn.Linear(c, h), nn.Linear(h, c)
        self.scale = nn.Parameter(torch.full((c,), 0.3))

    def forward(self, x):
        y = self.norm(self.depthwise(x).permute(0, 2, 3, 1))
        y = self.b(F.gelu(self.a(y))) * self.scale
        return x + y.permute(0, 3, 1, 2)


@structure
def convnext_tiny_blocks():
    return classifier(nn.Conv2d(3, 22, 4, 4), ConvNextBlock(22, 70), nn.Conv2d(22, 34, 2, 2), ConvNextBlock(34, 90), out=34)


class GlobalResponseNorm(nn.Module):
    """ConvNeXt v2: an L2 norm over positions divided by its mean over channels."""

    def __init__(self, c):
        super().__init__()
        self.a, self.norm, self.b = nn.Conv2d(c, 50, 1), nn.Parameter(torch.rand(1, 50, 1, 1)), nn.Conv2d(50, c, 1)
        self.bias = nn.Parameter(torch.rand(1, 50, 1, 1))

    def forward(self, x):
        y = F.gelu(self.a(x))
        length = torch.norm(y, p=2, dim=(2, 3), keepdim=True)
        y = self.norm * (y * (length / (length.mean(1, keepdim=True) + 1e-6))) + self.bias + y
        return x + self.b(y)


@structure
def global_response_norm():
    return classifier(conv_bn(3, 20, 3, 2), GlobalResponseNorm(20), GlobalResponseNorm(20), out=20)


class WeightStandardized(nn.Module):
    """Weights normalized inside the graph: the exporter folds this, or leaves arithmetic on an initializer."""

    def __init__(self, i, o, s=1):
        super().__init__()
        self.s = s
        self.weight = nn.Parameter(torch.randn(o, i, 3, 3) * 0.2)
        self.gain = nn.Parameter(torch.ones(o, 1, 1, 1))

    def forward(self, x):
        w = self.weight
        w = (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 1e-5) * self.gain * 0.15
        return F.conv2d(x, w, None, self.s, 1)


@structure
def weight_standardization():
    return classifier(
        WeightStandardized(3, 16, 2), nn.GroupNorm(4, 16), nn.ReLU(), WeightStandardized(16, 26), nn.ReLU(), out=26
    )


class WeightNorm(nn.Module):
    def __init__(self):
        super().__init__()
        parametrize = nn.utils.parametrizations.weight_norm
        self.a, self.b = parametrize(nn.Conv2d(3, 16, 3, 2, 1)), parametrize(nn.Conv2d(16, 23, 3, 1, 1))
        self.head = Head(23)

    def forward(self, x):
        return self.head(F.relu(self.b(F.relu(self.a(x)))))


@structure
def weight_norm():
    return Case(WeightNorm(), {"input": image()})


class DynamicConv(nn.Module):
    """Kernels mixed per sample, run as one grouped convolution over batch times channels."""

    def __init__(self, i=12, o=18, kernels=3):
        super().__init__()
        self.i, self.o, self.k = i, o, kernels
        self.stem, self.route = conv_bn(3, i, 3, 2), nn.Linear(i, kernels)
        self.weight = nn.Parameter(torch.randn(kernels, o * i * 9) * 0.1)
        self.head = Head(o)

    def forward(self, x):
        x = self.stem(x)
        mix = self.route(x.mean((2, 3))).softmax(1)
        weight = (mix @ self.weight).view(-1, self.o, self.i, 9)
        columns = F.unfold(x, 3, padding=1).view(-1, self.i * 9, 256)
        y = weight.reshape(-1, self.o, self.i * 9) @ columns
        return self.head(F.relu(y.view(-1, self.o, 16, 16)))


@structure
def dynamic_conv_unfold():
    return Case(DynamicConv(), {"input": image()})


# --- Other dimensions ------------------------------------------------------------------------------------------


@structure
def m5_keyword_spotting():
    def block(i, o, k, s=1):
        return [nn.Conv1d(i, o, k, s), nn.BatchNorm1d(o), nn.ReLU(), nn.MaxPool1d(4)]

    return Case(
        nn.Sequential(*block(1, 32, 80, 16), *block(32, 32, 3), *block(32, 64, 3), nn.Conv1d(64, 64, 2),
                      nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(64, 35), nn.LogSoftmax(-1)),
        {"audio": torch.randn(2, 1, 8000)},
    )  # fmt: skip


@structure
def ds_cnn_keyword_spotting():
    layers = [nn.Conv2d(1, 28, (10, 4), (2, 2), (4, 1), bias=False), nn.BatchNorm2d(28), nn.ReLU()]
    for _ in range(3):
        layers += [conv_bn(28, 28, 3, g=28), conv_bn(28, 28, 1)]
    return Case(nn.Sequential(*layers, Head(28, 12)), {"mfcc": torch.randn(2, 1, 49, 10)})


class WaveNetBlock(nn.Module):
    def __init__(self, c, skip, dilation):
        super().__init__()
        self.dilation = dilation
        self.gate = nn.Conv1d(c, 2 * 13, 2, dilation=dilation)
        self.residual, self.skip = nn.Conv1d(13, c, 1), nn.Conv1d(13, skip, 1)

    def forward(self, x):
        a, b = self.gate(F.pad(x, (self.dilation, 0))).chunk(2, 1)
        y = torch.tanh(a) * torch.sigmoid(b)
        return x + self.residual(y), self.skip(y)


class WaveNet(nn.Module):
    def __init__(self, c=18, skip=24):
        super().__init__()
        self.embed = nn.Embedding(64, c)
        self.blocks = nn.ModuleList(WaveNetBlock(c, skip, 2**i) for i in range(5))
        self.a, self.b = nn.Conv1d(skip, 30, 1), nn.Conv1d(30, 64, 1)

    def forward(self, codes):
        x, total = self.embed(codes).transpose(1, 2), 0
        for block in self.blocks:
            x, skip = block(x)
            total = total + skip
        return self.b(F.relu(self.a(F.relu(total))))


@structure
def wavenet_gated():
    return Case(WaveNet(), {"codes": ids(64, 64)}, ["logits"], {"codes": {1: "T"}})


class TemporalBlock(nn.Module):
    """Causal dilated convolutions, padded on both sides and cropped."""

    def __init__(self, i, o, d):
        super().__init__()
        self.crop = 2 * d
        self.a, self.b = nn.Conv1d(i, o, 3, padding=2 * d, dilation=d), nn.Conv1d(o, o, 3, padding=2 * d, dilation=d)
        self.short = nn.Conv1d(i, o, 1) if i != o else nn.Identity()

    def forward(self, x):
        y = F.relu(self.a(x)[:, :, : -self.crop])
        y = F.relu(self.b(y)[:, :, : -self.crop])
        return F.relu(y + self.short(x))


@structure
def temporal_conv_net():
    net = nn.Sequential(TemporalBlock(5, 16, 1), TemporalBlock(16, 22, 2), TemporalBlock(22, 22, 4),
                        Lambda(lambda x: x[:, :, -1]), nn.Linear(22, 3))  # fmt: skip
    return Case(net, {"series": torch.randn(2, 5, 60)})


@structure
def conv_glu_speech():
    return Case(
        nn.Sequential(nn.Conv1d(20, 44, 5, 2, 2), nn.GLU(1), nn.Conv1d(22, 60, 3, 1, 1), nn.GLU(1),
                      nn.Conv1d(30, 29, 1), nn.LogSoftmax(1)),
        {"features": torch.randn(2, 20, 50)}, ["tokens"], {"features": {2: "T"}},
    )  # fmt: skip


class VideoNet(nn.Module):
    """Factored (2+1)-D convolutions and a full 3-D one with a residual."""

    def __init__(self):
        super().__init__()
        def block(i, o, k, s, p):
            return nn.Sequential(nn.Conv3d(i, o, k, s, p, bias=False), nn.BatchNorm3d(o), nn.ReLU())

        self.a = block(3, 13, (1, 5, 5), (1, 2, 2), (0, 2, 2))
        self.b = block(13, 18, (3, 1, 1), 1, (1, 0, 0))
        self.c = nn.Sequential(nn.Conv3d(18, 18, 3, 1, 1), nn.BatchNorm3d(18))
        self.d = block(18, 36, 3, 2, 1)
        self.e = nn.Conv3d(36, 36, 3, 1, 1, groups=36)
        self.up = nn.ConvTranspose3d(36, 10, 2, 2)
        self.head = nn.Linear(10, 6)

    def forward(self, x):
        x = F.max_pool3d(self.b(self.a(x)), (1, 2, 2))
        x = self.e(self.d(F.relu(x + self.c(x))))
        return self.head(F.avg_pool3d(self.up(x), (4, 8, 8)).flatten(1))


@structure
def conv3d_factored():
    return Case(VideoNet(), {"clip": torch.randn(2, 3, 4, 32, 32)})


class PointNet(nn.Module):
    """Shared 1-D convolutions over points, a learned transform, a max over points, and its copy to each point."""

    def __init__(self):
        super().__init__()
        def block(i, o):
            return nn.Sequential(nn.Conv1d(i, o, 1), nn.BatchNorm1d(o), nn.ReLU())

        self.t = nn.Sequential(block(3, 18), block(18, 26))
        self.t_fc = nn.Linear(26, 9)
        self.register_buffer("eye", torch.eye(3).flatten())
        self.a, self.b = block(3, 20), block(20, 34)
        self.seg = nn.Sequential(block(54, 28), nn.Conv1d(28, 5, 1))
        self.cls = nn.Linear(34, 7)

    def forward(self, x):
        t = (self.t_fc(self.t(x).max(2).values) * 0.1 + self.eye).view(-1, 3, 3)
        local = self.a(torch.bmm(x.transpose(1, 2), t).transpose(1, 2))
        whole = self.b(local).max(2, keepdim=True).values
        wide = whole.repeat(1, 1, x.shape[2])
        return self.seg(torch.cat([local, wide], 1)), self.cls(whole.squeeze(2))


@structure
def pointnet():
    return Case(PointNet(), {"points": torch.randn(2, 3, 40)}, ["parts", "label"])


class GraphConv(nn.Module):
    """Adjacency times features times weight, with a dense adjacency input."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.self_b, self.c = nn.Linear(8, 22), nn.Linear(22, 30), nn.Linear(22, 30), nn.Linear(30, 4)

    def forward(self, x, adjacency):
        degree = adjacency.sum(-1, keepdim=True).clamp(min=1.0)
        adjacency = adjacency / degree
        x = F.relu(torch.matmul(adjacency, self.a(x)))
        x = F.relu(torch.matmul(adjacency, self.b(x)) + self.self_b(x))
        return self.c(x.mean(1))


@structure
def graph_conv():
    return Case(GraphConv(), {"nodes": torch.randn(2, 9, 8), "adjacency": torch.rand(2, 9, 9)})


# --- Recurrent -------------------------------------------------------------------------------------------------


class Recurrent(nn.Module):
    """A convolutional front end, a bidirectional two-layer recurrent net, and a projection at every step."""

    def __init__(self, cell):
        super().__init__()
        self.front = nn.Sequential(nn.Conv1d(13, 22, 5, 2, 2), nn.BatchNorm1d(22), nn.ReLU(), nn.Conv1d(22, 26, 3, 1, 1))
        self.cell = cell(26, 19, num_layers=2, bidirectional=True, batch_first=True)
        self.head = nn.Sequential(nn.Linear(38, 24), nn.ReLU(), nn.Linear(24, 11))

    def forward(self, x):
        return self.head(self.cell(F.relu(self.front(x)).transpose(1, 2))[0])


@structure
def audio_lstm():
    return Case(Recurrent(nn.LSTM), {"mfcc": torch.randn(2, 13, 40)}, ["tokens"], {"mfcc": {2: "T"}})


@structure
def audio_gru():
    return Case(Recurrent(nn.GRU), {"mfcc": torch.randn(2, 13, 40)}, ["tokens"], {"mfcc": {2: "T"}})


@structure
def elman_rnn():
    return Case(Recurrent(nn.RNN), {"mfcc": torch.randn(2, 13, 40)}, ["tokens"], {"mfcc": {2: "T"}})


class LastState(nn.Module):
    """Unidirectional stacked LSTM; the final hidden state is classified and states are inputs and outputs."""

    def __init__(self):
        super().__init__()
        self.lstm, self.head = nn.LSTM(9, 21, 2), nn.Linear(21, 5)

    def forward(self, x, h, c):
        y, (h, c) = self.lstm(x, (h, c))
        return self.head(y[-1]), h, c


@structure
def lstm_with_state():
    inputs = {"series": torch.randn(15, 2, 9), "h0": torch.randn(2, 2, 21), "c0": torch.randn(2, 2, 21)}
    return Case(LastState(), inputs, ["logits", "h1", "c1"],
                {"series": {1: "N"}, "h0": {1: "N"}, "c0": {1: "N"}}, batched=False)  # fmt: skip


class Crnn(nn.Module):
    """Text recognition: a map collapsed to a sequence, channels and height flattened together."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(conv_bn(1, 14, 3), nn.MaxPool2d(2), conv_bn(14, 20), nn.MaxPool2d((2, 1)))
        self.rnn, self.head = nn.GRU(20 * 4, 23, bidirectional=True), nn.Linear(46, 17)

    def forward(self, x):
        x = self.body(x)
        n, c, h, w = x.shape
        y, _ = self.rnn(x.view(n, c * h, w).permute(2, 0, 1))
        return self.head(y).transpose(0, 1)


@structure
def crnn_text():
    return Case(Crnn(), {"line": image(1, 16, 32)}, ["tokens"])


class SequenceToSequence(nn.Module):
    """A GRU encoder, a GRU decoder over given tokens, and dot-product attention between them."""

    def __init__(self):
        super().__init__()
        self.source, self.target = nn.Embedding(50, 16), nn.Embedding(50, 18)
        self.encoder, self.decoder = nn.GRU(16, 24, batch_first=True), nn.GRU(18, 24, batch_first=True)
        self.mix, self.head = nn.Linear(48, 30), nn.Linear(30, 50)

    def forward(self, source, target):
        memory, state = self.encoder(self.source(source))
        y, _ = self.decoder(self.target(target), state)
        context = torch.softmax(y @ memory.transpose(1, 2), -1) @ memory
        return self.head(torch.tanh(self.mix(torch.cat([y, context], -1))))


@structure
def seq2seq_attention():
    return Case(SequenceToSequence(), {"source": ids(50, 9), "target": ids(50, 7)}, ["logits"])


class UnrolledConvGru(nn.Module):
    """A convolutional recurrent cell written out over three frames: weights used three times."""

    def __init__(self, c=14):
        super().__init__()
        self.c, self.stem = c, nn.Conv2d(1, 10, 3, 2, 1)
        self.gates, self.new, self.head = nn.Conv2d(10 + c, 2 * c, 3, 1, 1), nn.Conv2d(10 + c, c, 3, 1, 1), Head(c, 4)

    def forward(self, frames):
        h = torch.zeros_like(self.stem(frames[:, 0])[:, :1]).repeat(1, self.c, 1, 1)
        for t in range(3):
            x = F.relu(self.stem(frames[:, t]))
            z, r = torch.sigmoid(self.gates(torch.cat([x, h], 1))).chunk(2, 1)
            n = torch.tanh(self.new(torch.cat([x, r * h], 1)))
            h = (1 - z) * h + z * n
        return self.head(h)


@structure
def conv_gru_unrolled():
    return Case(UnrolledConvGru(), {"frames": torch.randn(2, 3, 1, 16, 16)})


# --- Attention -------------------------------------------------------------------------------------------------


class SelfAttention(nn.Module):
    """Spelled out, with separate projections, optional mask, rotary embedding and fewer key heads than heads."""

    def __init__(self, d, heads, kv_heads=None, causal=False, rotary=False, bias=True):
        super().__init__()
        self.h, self.kv, self.e = heads, kv_heads or heads, d // heads
        self.causal, self.rotary = causal, rotary
        self.q, self.o = nn.Linear(d, heads * self.e, bias=bias), nn.Linear(heads * self.e, d, bias=bias)
        self.k, self.v = (nn.Linear(d, self.kv * self.e, bias=bias) for _ in range(2))
        if rotary:
            self.register_buffer("rate", 1.0 / 10000 ** (torch.arange(0, self.e, 2).float() / self.e))

    def rotate(self, x, t):
        angle = torch.arange(t, device=x.device).float()[:, None] * self.rate
        angle = torch.cat([angle, angle], -1)
        half = self.e // 2
        turned = torch.cat([-x[..., half:], x[..., :half]], -1)
        return x * angle.cos() + turned * angle.sin()

    def forward(self, x, mask=None):
        n, t, _ = x.shape
        q = self.q(x).view(n, t, self.h, self.e).transpose(1, 2)
        k = self.k(x).view(n, t, self.kv, self.e).transpose(1, 2)
        v = self.v(x).view(n, t, self.kv, self.e).transpose(1, 2)
        if self.rotary:
            q, k = self.rotate(q, t), self.rotate(k, t)
        if self.kv != self.h:
            r = self.h // self.kv
            k = k[:, :, None].expand(n, self.kv, r, t, self.e).reshape(n, self.h, t, self.e)
            v = v[:, :, None].expand(n, self.kv, r, t, self.e).reshape(n, self.h, t, self.e)
        score = q @ k.transpose(-1, -2) / self.e**0.5
        if mask is not None:
            score = score + mask
        if self.causal:
            place = torch.arange(t, device=x.device)
            score = score.masked_fill(place[None, :] > place[:, None], -1e9)
        y = (score.softmax(-1) @ v).transpose(1, 2).reshape(n, t, self.h * self.e)
        return self.o(y)


class BertLayer(nn.Module):
    def __init__(self, d, heads, hidden):
        super().__init__()
        self.attention = SelfAttention(d, heads)
        self.norm1, self.norm2 = nn.LayerNorm(d, eps=1e-12), nn.LayerNorm(d, eps=1e-12)
        self.a, self.b = nn.Linear(d, hidden), nn.Linear(hidden, d)

    def forward(self, x, mask):
        x = self.norm1(x + self.attention(x, mask))
        return self.norm2(x + self.b(F.gelu(self.a(x))))


class Bert(nn.Module):
    def __init__(self, d=256, heads=4, hidden=640, layers=4, vocabulary=200):
        super().__init__()
        self.words, self.places, self.kinds = nn.Embedding(vocabulary, d), nn.Embedding(64, d), nn.Embedding(2, d)
        self.norm = nn.LayerNorm(d, eps=1e-12)
        self.layers = nn.ModuleList(BertLayer(d, heads, hidden) for _ in range(layers))
        self.pool, self.head = nn.Linear(d, d), nn.Linear(d, 3)
        self.register_buffer("place_ids", torch.arange(64)[None])

    def forward(self, input_ids, attention_mask, token_type_ids):
        t = input_ids.shape[1]
        x = self.words(input_ids) + self.places(self.place_ids[:, :t]) + self.kinds(token_type_ids)
        x = self.norm(x)
        mask = (1.0 - attention_mask[:, None, None, :].to(x.dtype)) * -10000.0
        for layer in self.layers:
            x = layer(x, mask)
        return x, self.head(torch.tanh(self.pool(x[:, 0])))


@structure
def bert_encoder():
    mask = torch.ones(2, 12, dtype=torch.int64)
    mask[1, 9:] = 0
    inputs = {"input_ids": ids(200), "attention_mask": mask, "token_type_ids": ids(2)}
    return Case(Bert(), inputs, ["hidden", "logits"], {name: {1: "T"} for name in inputs})


class RmsNorm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * self.weight


class LlamaLayer(nn.Module):
    def __init__(self, d, heads, kv_heads, hidden):
        super().__init__()
        self.norm1, self.norm2 = RmsNorm(d), RmsNorm(d)
        self.attention = SelfAttention(d, heads, kv_heads, causal=True, rotary=True, bias=False)
        self.gate, self.up = nn.Linear(d, hidden, bias=False), nn.Linear(d, hidden, bias=False)
        self.down = nn.Linear(hidden, d, bias=False)

    def forward(self, x):
        x = x + self.attention(self.norm1(x))
        h = self.norm2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Llama(nn.Module):
    def __init__(self, d=64, heads=4, kv_heads=2, hidden=88, layers=2, vocabulary=100):
        super().__init__()
        self.embed, self.norm = nn.Embedding(vocabulary, d), RmsNorm(d)
        self.layers = nn.ModuleList(LlamaLayer(d, heads, kv_heads, hidden) for _ in range(layers))
        self.head = nn.Linear(d, vocabulary, bias=False)

    def forward(self, input_ids):
        x = self.embed(input_ids)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


@structure
def llama_grouped_query():
    return Case(Llama(), {"input_ids": ids(100)}, ["logits"], {"input_ids": {1: "T"}})


class GptLayer(nn.Module):
    """Pre-norm; query, key and value come from one projection that is split."""

    def __init__(self, d, heads, hidden):
        super().__init__()
        self.d, self.h = d, heads
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.o = nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.a, self.b = nn.Linear(d, hidden), nn.Linear(hidden, d)
        self.register_buffer("mask", torch.tril(torch.ones(32, 32, dtype=torch.bool))[None, None])
        e = d // heads
        angle = torch.arange(32).float()[:, None] / 10000 ** (torch.arange(0, e, 2).float() / e)
        self.register_buffer("cos", angle.cos())
        self.register_buffer("sin", angle.sin())

    def rotate(self, x):
        t = x.shape[2]
        even, odd = x[..., ::2], x[..., 1::2]
        cos, sin = self.cos[:t], self.sin[:t]
        return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)

    def forward(self, x):
        n, t, _ = x.shape
        q, k, v = (p.view(n, t, self.h, -1).transpose(1, 2) for p in self.qkv(self.norm1(x)).split(self.d, 2))
        q, k = self.rotate(q), self.rotate(k)
        score = (q @ k.transpose(-2, -1)) * (self.d // self.h) ** -0.5
        score = score.masked_fill(~self.mask[:, :, :t, :t], float("-inf"))
        y = (score.softmax(-1) @ v).transpose(1, 2).contiguous().view(n, t, self.d)
        x = x + self.o(y)
        return x + self.b(F.gelu(self.a(self.norm2(x)), approximate="tanh"))


class Gpt(nn.Module):
    def __init__(self, d=60, heads=3, hidden=144, layers=2, vocabulary=100):
        super().__init__()
        self.embed, self.norm = nn.Embedding(vocabulary, d), nn.LayerNorm(d)
        self.layers = nn.ModuleList(GptLayer(d, heads, hidden) for _ in range(layers))
        self.head = nn.Linear(d, vocabulary, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, input_ids):
        x = self.embed(input_ids)
        for layer in self.layers:
            x = layer(x)
        return self.head(self.norm(x))


@structure
def gpt_rotary_tied():
    return Case(Gpt(), {"input_ids": ids(100)}, ["logits"], {"input_ids": {1: "T"}})


class CachedGpt(nn.Module):
    """One decoding step: past keys and values come in, are concatenated and go out."""

    def __init__(self, d=48, heads=4):
        super().__init__()
        self.h, self.e = heads, d // heads
        self.embed, self.norm = nn.Embedding(90, d), nn.LayerNorm(d)
        self.q, self.k, self.v, self.o = (nn.Linear(d, d) for _ in range(4))
        self.a, self.b, self.head = nn.Linear(d, 100), nn.Linear(100, d), nn.Linear(d, 90)

    def forward(self, input_ids, past_key, past_value):
        x = self.embed(input_ids)
        n, t, d = x.shape
        y = self.norm(x)
        q, k, v = (p(y).view(n, t, self.h, self.e).transpose(1, 2) for p in (self.q, self.k, self.v))
        k, v = torch.cat([past_key, k], 2), torch.cat([past_value, v], 2)
        y = ((q @ k.transpose(2, 3) * self.e**-0.5).softmax(-1) @ v).transpose(1, 2).reshape(n, t, d)
        x = x + self.o(y)
        return self.head(x + self.b(F.relu(self.a(x)))), k, v


@structure
def gpt_cached_step():
    past = torch.randn(2, 4, 6, 12)
    return Case(CachedGpt(), {"input_ids": ids(90, 1), "past_key": past, "past_value": past + 0.1},
                ["logits", "key", "value"], {"past_key": {2: "P"}, "past_value": {2: "P"}})  # fmt: skip


class MhaVit(nn.Module):
    """A vision transformer on nn.MultiheadAttention, with a class token."""

    def __init__(self, d=48, heads=4, layers=2):
        super().__init__()
        self.patch = nn.Conv2d(3, d, 8, 8)
        self.token, self.pos = nn.Parameter(torch.randn(1, 1, d)), nn.Parameter(torch.randn(1, 17, d))
        self.attention = nn.ModuleList(nn.MultiheadAttention(d, heads, batch_first=True) for _ in range(layers))
        self.norm1 = nn.ModuleList(nn.LayerNorm(d) for _ in range(layers))
        self.norm2 = nn.ModuleList(nn.LayerNorm(d) for _ in range(layers))
        self.mlp = nn.ModuleList(nn.Sequential(nn.Linear(d, 100), nn.GELU(), nn.Linear(100, d)) for _ in range(layers))
        self.norm, self.head = nn.LayerNorm(d), nn.Linear(d, 10)

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.pos
        for norm1, attention, norm2, mlp in zip(self.norm1, self.attention, self.norm2, self.mlp):
            y = norm1(x)
            x = x + attention(y, y, y, need_weights=False)[0]
            x = x + mlp(norm2(x))
        return self.head(self.norm(x)[:, 0])


@structure
def mha_vit():
    return Case(MhaVit(), {"input": image()})


class MhaWeights(nn.Module):
    """nn.MultiheadAttention that also returns its weights, over different widths of query, key and value."""

    def __init__(self):
        super().__init__()
        self.mha, self.head = nn.MultiheadAttention(30, 3, kdim=20, vdim=14, batch_first=True), nn.Linear(30, 5)

    def forward(self, query, key, value):
        y, weights = self.mha(query, key, value)
        return self.head(y), weights


@structure
def mha_cross_weights():
    inputs = {"query": torch.randn(2, 6, 30), "key": torch.randn(2, 9, 20), "value": torch.randn(2, 9, 14)}
    return Case(MhaWeights(), inputs, ["logits", "weights"])


@structure
def transformer_encoder_layers():
    layers = [nn.TransformerEncoderLayer(40, 5, 72, batch_first=True, activation=F.gelu, norm_first=bool(i))
              for i in range(2)]  # fmt: skip
    return Case(nn.Sequential(nn.Linear(12, 40), *layers, nn.Linear(40, 6)), {"series": torch.randn(2, 10, 12)})


class VitFusedQkv(nn.Module):
    """timm style: qkv reshaped to [3, batch, heads, tokens, dim] and unbound; pooled by mean; F.sdpa."""

    def __init__(self, d=48, heads=3, sdpa=True):
        super().__init__()
        self.h, self.sdpa = heads, sdpa
        self.patch, self.pos = nn.Conv2d(3, d, 8, 8), nn.Parameter(torch.randn(1, 16, d) * 0.3)
        self.norm1, self.norm2, self.norm = nn.LayerNorm(d), nn.LayerNorm(d), nn.LayerNorm(d)
        self.qkv, self.o = nn.Linear(d, 3 * d, bias=False), nn.Linear(d, d)
        self.a, self.b, self.head = nn.Linear(d, 110), nn.Linear(110, d), nn.Linear(d, 10)
        self.scale1, self.scale2 = nn.Parameter(torch.full((d,), 0.4)), nn.Parameter(torch.full((d,), 0.4))

    def forward(self, x):
        x = self.patch(x).flatten(2).transpose(1, 2) + self.pos
        n, t, d = x.shape
        q, k, v = self.qkv(self.norm1(x)).reshape(n, t, 3, self.h, d // self.h).permute(2, 0, 3, 1, 4).unbind(0)
        if self.sdpa:
            y = F.scaled_dot_product_attention(q, k, v)
        else:
            y = (q * (d // self.h) ** -0.5 @ k.transpose(-2, -1)).softmax(-1) @ v
        x = x + self.scale1 * self.o(y.transpose(1, 2).reshape(n, t, d))
        x = x + self.scale2 * self.b(F.gelu(self.a(self.norm2(x))))
        return self.head(self.norm(x.mean(1)))


@structure
def vit_fused_qkv_sdpa():
    return Case(VitFusedQkv(), {"input": image()})


@structure
def vit_fused_qkv():
    return Case(VitFusedQkv(sdpa=False), {"input": image()})


class EinsumAttention(nn.Module):
    """Attention where every contraction, projections included, is an einsum over [heads, dim] weights."""

    def __init__(self, d=36, heads=4, e=10):
        super().__init__()
        self.wq, self.wk, self.wv = (nn.Parameter(torch.randn(d, heads, e) * 0.15) for _ in range(3))
        self.wo = nn.Parameter(torch.randn(heads, e, d) * 0.15)
        self.norm, self.a, self.head = nn.LayerNorm(d), nn.Linear(d, d), nn.Linear(d, 6)
        self.bias = nn.Parameter(torch.randn(heads, 8, 8))

    def forward(self, x):
        y = self.norm(x)
        q, k, v = (torch.einsum("ntd,dhe->nhte", y, w) for w in (self.wq, self.wk, self.wv))
        score = torch.einsum("nhte,nhse->nhts", q, k) * 0.3 + self.bias
        y = torch.einsum("nhts,nhse->nhte", score.softmax(-1), v)
        x = x + torch.einsum("nhte,hed->ntd", y, self.wo)
        return self.head(F.relu(self.a(x)).mean(1))


@structure
def einsum_attention():
    return Case(EinsumAttention(), {"tokens": torch.randn(2, 8, 36)})


class LinearAttention(nn.Module):
    """Kernelized attention on a map: channels split to heads, keys summed with values first."""

    def __init__(self, c=24, heads=3, e=8):
        super().__init__()
        self.h, self.e = heads, e
        self.stem, self.qkv, self.o = conv_bn(3, c, 3, 2), nn.Conv2d(c, 3 * heads * e, 1, bias=False), conv_bn(24, c, 1)
        self.head = Head(c)

    def forward(self, x):
        x = self.stem(x)
        n, _, height, width = x.shape
        q, k, v = self.qkv(x).view(n, 3, self.h, self.e, height * width).unbind(1)
        q, k = F.relu(q), F.relu(k)
        kv = torch.matmul(v, k.transpose(-1, -2))
        norm = (k.sum(-1, keepdim=True) * q).sum(2, keepdim=True) + 1e-4
        y = torch.matmul(kv, q) / norm
        return self.head(x + self.o(y.reshape(n, self.h * self.e, height, width)))


@structure
def linear_attention():
    return Case(LinearAttention(), {"input": image(3, 24)})


class NonLocal(nn.Module):
    def __init__(self, c=26, inner=15):
        super().__init__()
        self.stem = conv_bn(3, c, 3, 4)
        self.q, self.k, self.v, self.o = (nn.Conv2d(c, inner, 1), nn.Conv2d(c, inner, 1), nn.Conv2d(c, inner, 1),
                                          nn.Conv2d(inner, c, 1))  # fmt: skip
        self.head = Head(c)

    def forward(self, x):
        x = self.stem(x)
        q, k, v = (p(x).flatten(2) for p in (self.q, self.k, self.v))
        y = torch.bmm(v, torch.bmm(q.transpose(1, 2), k).softmax(-1).transpose(1, 2))
        return self.head(x + self.o(y.view(x.shape[0], -1, x.shape[2], x.shape[3])))


@structure
def non_local():
    return Case(NonLocal(), {"input": image()})


class MixerBlock(nn.Module):
    def __init__(self, tokens, d):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(d), nn.LayerNorm(d)
        self.tokens = nn.Sequential(nn.Linear(tokens, 22), nn.GELU(), nn.Linear(22, tokens))
        self.channels = nn.Sequential(nn.Linear(d, 70), nn.GELU(), nn.Linear(70, d))

    def forward(self, x):
        x = x + self.tokens(self.norm1(x).transpose(1, 2)).transpose(1, 2)
        return x + self.channels(self.norm2(x))


@structure
def mlp_mixer():
    return Case(
        nn.Sequential(nn.Conv2d(3, 34, 8, 8), Lambda(lambda x: x.flatten(2).transpose(1, 2)), MixerBlock(16, 34),
                      MixerBlock(16, 34), nn.LayerNorm(34), Lambda(lambda x: x.mean(1)), nn.Linear(34, 10)),
        {"input": image()},
    )  # fmt: skip


class GatedMlp(nn.Module):
    """gMLP: half of the channels, mixed along tokens, gates the other half."""

    def __init__(self, d=30, half=26, tokens=12):
        super().__init__()
        self.norm, self.a, self.b = nn.LayerNorm(d), nn.Linear(d, 2 * half), nn.Linear(half, d)
        self.gate_norm, self.spatial = nn.LayerNorm(half), nn.Conv1d(tokens, tokens, 1)

    def forward(self, x):
        u, v = F.gelu(self.a(self.norm(x))).chunk(2, -1)
        return x + self.b(u * self.spatial(self.gate_norm(v)))


@structure
def gated_mlp():
    return Case(nn.Sequential(GatedMlp(), GatedMlp(), nn.Linear(30, 5)), {"tokens": torch.randn(2, 12, 30)})


class ConformerBlock(nn.Module):
    """Half-step feed forward, attention, a gated depthwise convolution module, half-step feed forward."""

    def __init__(self, d, heads=3, hidden=62, kernel=7):
        super().__init__()
        def feed():
            return nn.Sequential(nn.LayerNorm(d), nn.Linear(d, hidden), nn.SiLU(), nn.Linear(hidden, d))

        self.feed1, self.feed2 = feed(), feed()
        self.norm, self.attention = nn.LayerNorm(d), SelfAttention(d, heads)
        self.conv_norm = nn.LayerNorm(d)
        self.conv = nn.Sequential(nn.Conv1d(d, 2 * d, 1), nn.GLU(1),
                                  nn.Conv1d(d, d, kernel, padding=kernel // 2, groups=d), nn.BatchNorm1d(d), nn.SiLU(),
                                  nn.Conv1d(d, d, 1))  # fmt: skip
        self.out = nn.LayerNorm(d)

    def forward(self, x):
        x = x + 0.5 * self.feed1(x)
        x = x + self.attention(self.norm(x))
        x = x + self.conv(self.conv_norm(x).transpose(1, 2)).transpose(1, 2)
        return self.out(x + 0.5 * self.feed2(x))


class Conformer(nn.Module):
    def __init__(self, d=36):
        super().__init__()
        self.front = nn.Sequential(nn.Conv2d(1, 10, 3, 2), nn.ReLU(), nn.Conv2d(10, 12, 3, 2), nn.ReLU())
        self.project = nn.Linear(12 * 4, d)
        self.blocks = nn.Sequential(ConformerBlock(d), ConformerBlock(d))
        self.head = nn.Linear(d, 20)

    def forward(self, x):
        x = self.front(x[:, None])
        n, c, t, f = x.shape
        x = self.project(x.transpose(1, 2).reshape(n, t, c * f))
        return self.head(self.blocks(x)).log_softmax(-1)


@structure
def conformer():
    return Case(Conformer(), {"features": torch.randn(2, 50, 20)}, ["tokens"], {"features": {1: "T"}})


class SegformerAttention(nn.Module):
    """Keys and values from a strided reduction of the map; a depthwise convolution inside the feed forward."""

    def __init__(self, c=32, heads=4, hidden=78):
        super().__init__()
        self.h = heads
        self.norm1, self.norm2, self.norm_kv = nn.LayerNorm(c), nn.LayerNorm(c), nn.LayerNorm(c)
        self.reduce, self.q, self.kv, self.o = nn.Conv2d(c, c, 2, 2), nn.Linear(c, c), nn.Linear(c, 2 * c), nn.Linear(c, c)
        self.a, self.depthwise, self.b = nn.Linear(c, hidden), nn.Conv2d(hidden, hidden, 3, 1, 1, groups=hidden), nn.Linear(hidden, c)

    def forward(self, x):
        n, c, height, width = x.shape
        x = x.flatten(2).transpose(1, 2)
        y = self.norm1(x)
        q = self.q(y).reshape(n, -1, self.h, c // self.h).permute(0, 2, 1, 3)
        small = self.reduce(y.transpose(1, 2).reshape(n, c, height, width)).reshape(n, c, -1).permute(0, 2, 1)
        kv = self.kv(self.norm_kv(small)).reshape(n, -1, 2, self.h, c // self.h).permute(2, 0, 3, 1, 4)
        k, v = kv[0], kv[1]
        y = ((q @ k.transpose(-2, -1)) * (c // self.h) ** -0.5).softmax(-1) @ v
        x = x + self.o(y.transpose(1, 2).reshape(n, -1, c))
        y = self.a(self.norm2(x))
        y = self.depthwise(y.transpose(1, 2).view(n, -1, height, width)).flatten(2).transpose(1, 2)
        x = x + self.b(F.gelu(y))
        return x.transpose(1, 2).reshape(n, c, height, width)


@structure
def segformer_block():
    net = nn.Sequential(nn.Conv2d(3, 32, 7, 4, 3), SegformerAttention(), SegformerAttention(), nn.Conv2d(32, 5, 1))
    return Case(net, {"input": image(3, 32)})


class MixtureOfExperts(nn.Module):
    """Soft routing over stacked expert weights by batched matrix products."""

    def __init__(self, d=24, hidden=38, experts=3):
        super().__init__()
        self.route = nn.Linear(d, experts)
        self.a, self.b = (nn.Parameter(torch.randn(experts, i, o) * i**-0.5) for i, o in ((d, hidden), (hidden, d)))
        self.head = nn.Linear(d, 4)

    def forward(self, x):
        gate = self.route(x).softmax(-1)
        y = torch.matmul(F.relu(torch.matmul(x[:, None], self.a)), self.b)
        return self.head(x + (y * gate.transpose(1, 2)[..., None]).sum(1))


@structure
def mixture_of_experts():
    return Case(MixtureOfExperts(), {"tokens": torch.randn(2, 7, 24)})


class T5Bias(nn.Module):
    """Relative-position bias looked up from a table of buckets and added to the scores."""

    def __init__(self, d=40, heads=5, t=10):
        super().__init__()
        self.h, self.table = heads, nn.Embedding(19, heads)
        self.q, self.k, self.v, self.o = (nn.Linear(d, d, bias=False) for _ in range(4))
        self.norm, self.head = RmsNorm(d), nn.Linear(d, 4)
        place = torch.arange(t)
        self.register_buffer("buckets", place[None, :] - place[:, None] + t - 1)

    def forward(self, x):
        n, t, d = x.shape
        y = self.norm(x)
        q, k, v = (p(y).view(n, t, self.h, d // self.h).transpose(1, 2) for p in (self.q, self.k, self.v))
        bias = self.table(self.buckets).permute(2, 0, 1)[None]
        y = (q @ k.transpose(3, 2) + bias).softmax(-1) @ v
        return self.head(x + self.o(y.transpose(1, 2).reshape(n, t, d)))


@structure
def relative_bias_attention():
    return Case(T5Bias(), {"tokens": torch.randn(2, 10, 40)})


# --- Tables ----------------------------------------------------------------------------------------------------


@structure
def mlp():
    return Case(
        nn.Sequential(nn.Linear(20, 43), nn.BatchNorm1d(43), nn.ReLU(), nn.Linear(43, 31), nn.LeakyReLU(0.05),
                      nn.Linear(31, 5), nn.Softmax(-1)),
        {"features": torch.randn(2, 20)},
    )  # fmt: skip


class WideAndDeep(nn.Module):
    """Embedded categories concatenated to numbers, a factorization-machine term, and a wide path."""

    def __init__(self):
        super().__init__()
        self.tables = nn.ModuleList(nn.Embedding(n, 9) for n in (20, 30, 40))
        self.wide = nn.Linear(11, 1)
        self.deep = nn.Sequential(nn.Linear(27 + 11, 41), nn.ReLU(), nn.Linear(41, 23), nn.ReLU(), nn.Linear(23, 1))

    def forward(self, numbers, categories):
        parts = [table(categories[:, i]) for i, table in enumerate(self.tables)]
        stacked = torch.stack(parts, 1)
        pairs = 0.5 * (stacked.sum(1).pow(2) - stacked.pow(2).sum(1)).sum(1, keepdim=True)
        return torch.sigmoid(self.wide(numbers) + pairs * 0.1 + self.deep(torch.cat([*parts, numbers], 1)))


@structure
def wide_and_deep():
    return Case(WideAndDeep(), {"numbers": torch.randn(2, 11), "categories": ids(20, 3)}, ["score"])


class ResidualMlp(nn.Module):
    """Gated linear units, a feature-wise affine modulation by a second input, and a where."""

    def __init__(self, d=28):
        super().__init__()
        self.stem, self.film, self.a, self.b = nn.Linear(16, d), nn.Linear(6, 2 * d), nn.Linear(d, 66), nn.Linear(33, d)
        self.head = nn.Linear(d, 3)

    def forward(self, x, condition):
        x = self.stem(x)
        scale, shift = self.film(condition).split(28, -1)
        y = x * (1 + scale) + shift
        y = torch.where(y > 0, y, 0.2 * y)
        return self.head(x + self.b(F.glu(self.a(y))))


@structure
def film_conditioning():
    return Case(ResidualMlp(), {"features": torch.randn(2, 16), "condition": torch.randn(2, 6)})
