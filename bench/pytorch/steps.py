"""Training steps in PyTorch, as one more contestant of the benchmark: `steps.py THREADS`.

Reads requests from standard input, one JSON object a line, and answers on file descriptor 3; src/contestants/serve.ts says
what they are. Networks and optimizer are those of src/contestants/ours.ts.
"""

import json
import os
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


def conv(inputs, outputs, kernel, stride=1, groups=1):
    return nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)


class Basic(nn.Module):
    """Two 3x3 convolutions and a shortcut (He et al. 2015, figure 5 left)."""

    expansion = 1

    def __init__(self, inputs, width, stride, pad_shortcut=False):
        super().__init__()
        self.conv1, self.bn1 = conv(inputs, width, 3, stride), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3), nn.BatchNorm2d(width)
        self.stride, self.extra, self.pad_shortcut = stride, width - inputs, pad_shortcut
        self.downsample = None
        if (stride > 1 or inputs != width) and not pad_shortcut:
            self.downsample = nn.Sequential(conv(inputs, width, 1, stride), nn.BatchNorm2d(width))

    def shortcut(self, x):
        if self.downsample is not None:
            return self.downsample(x)
        if self.pad_shortcut and (self.stride > 1 or self.extra > 0):
            front = self.extra // 2
            return F.pad(x[:, :, :: self.stride, :: self.stride], (0, 0, 0, 0, front, self.extra - front))
        return x

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(x), inplace=True)


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 and a shortcut (He et al. 2015, figure 5 right), with the stride in the 3x3."""

    expansion = 4

    def __init__(self, inputs, width, stride):
        super().__init__()
        outputs = width * 4
        self.conv1, self.bn1 = conv(inputs, width, 1), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = conv(width, width, 3, stride), nn.BatchNorm2d(width)
        self.conv3, self.bn3 = conv(width, outputs, 1), nn.BatchNorm2d(outputs)
        self.downsample = None
        if stride > 1 or inputs != outputs:
            self.downsample = nn.Sequential(conv(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = F.relu(self.bn1(self.conv1(x)), inplace=True)
        y = F.relu(self.bn2(self.conv2(y)), inplace=True)
        shortcut = x if self.downsample is None else self.downsample(x)
        return F.relu(self.bn3(self.conv3(y)) + shortcut, inplace=True)


def resnet(block, depths, classes):
    layers = [conv(3, 64, 7, 2), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, depth in enumerate(depths):
        width = 64 * 2**stage
        for at in range(depth):
            layers.append(block(inputs, width, 2 if stage > 0 and at == 0 else 1))
            inputs = width * block.expansion
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


def resnet20(classes):
    """For images of 32 x 32 (He et al. 2015, section 4.2)."""
    layers, inputs = [conv(3, 16, 3), nn.BatchNorm2d(16), nn.ReLU(inplace=True)], 16
    for stage, width in enumerate((16, 32, 64)):
        for at in range(3):
            layers.append(Basic(inputs, width, 2 if stage > 0 and at == 0 else 1, pad_shortcut=True))
            inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes))


class SqueezeExcite(nn.Module):
    def __init__(self, channels, squeezed):
        super().__init__()
        self.fc1, self.fc2 = nn.Conv2d(channels, squeezed, 1), nn.Conv2d(squeezed, channels, 1)

    def forward(self, x):
        return x * torch.sigmoid(self.fc2(F.silu(self.fc1(F.adaptive_avg_pool2d(x, 1)), inplace=True)))


class MBConv(nn.Module):
    """Tan and Le 2019; every row of a batch is dropped with probability `drop`."""

    def __init__(self, inputs, outputs, kernel, stride, expansion, drop):
        super().__init__()
        hidden = inputs * expansion
        layers = []
        if expansion > 1:
            layers += [conv(inputs, hidden, 1), nn.BatchNorm2d(hidden), nn.SiLU(inplace=True)]
        layers += [conv(hidden, hidden, kernel, stride, hidden), nn.BatchNorm2d(hidden), nn.SiLU(inplace=True)]
        layers += [SqueezeExcite(hidden, max(1, inputs // 4)), conv(hidden, outputs, 1), nn.BatchNorm2d(outputs)]
        self.body = nn.Sequential(*layers)
        self.residual, self.drop = stride == 1 and inputs == outputs, drop

    def forward(self, x):
        y = self.body(x)
        if not self.residual:
            return y
        if self.training and self.drop > 0:
            y = y * (torch.empty(y.shape[0], 1, 1, 1).bernoulli_(1 - self.drop) / (1 - self.drop))
        return y + x


def efficientnet_b0(classes):
    rows = [
        # expansion, kernel, stride, outputs, repeats
        (1, 3, 1, 16, 1),
        (6, 3, 2, 24, 2),
        (6, 5, 2, 40, 2),
        (6, 3, 2, 80, 3),
        (6, 5, 1, 112, 3),
        (6, 5, 2, 192, 4),
        (6, 3, 1, 320, 1),
    ]
    layers, inputs, block = [conv(3, 32, 3, 2), nn.BatchNorm2d(32), nn.SiLU(inplace=True)], 32, 0
    count = sum(row[4] for row in rows)
    for expansion, kernel, stride, outputs, repeats in rows:
        for at in range(repeats):
            layers.append(MBConv(inputs, outputs, kernel, stride if at == 0 else 1, expansion, 0.2 * block / count))
            inputs, block = outputs, block + 1
    layers += [conv(inputs, 1280, 1), nn.BatchNorm2d(1280), nn.SiLU(inplace=True)]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.2), nn.Linear(1280, classes))


models = {
    "resnet20": resnet20,
    "resnet18": lambda classes: resnet(Basic, (2, 2, 2, 2), classes),
    "resnet50": lambda classes: resnet(Bottleneck, (3, 4, 6, 3), classes),
    "efficientnet_b0": efficientnet_b0,
}


def prepare(job):
    batch, size, classes = job["batch"], job["size"], job["classes"]
    torch.manual_seed(1)
    model = models[job["model"]](classes).train()
    x = torch.rand(batch, 3, size, size) * 2 - 1
    target = torch.arange(batch) % classes
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=1e-4)

    def once():
        optimizer.zero_grad()
        loss = F.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        loss.item()

    return once


def turn(once, milliseconds, again):
    if again:
        once()
    times, start = [], time.perf_counter()
    while not times or (time.perf_counter() - start) * 1000 < milliseconds:
        before = time.perf_counter()
        once()
        times.append((time.perf_counter() - before) * 1000)
    return times


def main():
    threads = int(sys.argv[1])
    torch.set_num_threads(threads)
    out = os.fdopen(3, "w", buffering=1)

    def say(answer):
        out.write(json.dumps(answer) + "\n")

    say({"hello": {"version": torch.__version__, "threads": threads}})
    once = None
    for line in sys.stdin:
        request = json.loads(line)
        try:
            if request["do"] == "prepare":
                if request["job"]["kind"] != "training" or request["job"]["model"] not in models:
                    say({"unsupported": "not written in PyTorch"})
                    continue
                once = prepare(request["job"])
                say({"ready": True})
            elif request["do"] == "turn":
                say({"times": turn(once, request["milliseconds"], request["again"])})
            elif request["do"] == "finish":
                once = None
                say({"ready": True})
            else:
                say({"unsupported": "no such request"})
        except Exception as error:  # one job that fails is one line in the table
            say({"failed": str(error)})


main()
