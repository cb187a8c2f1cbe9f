"""The shape kinds: each builds one object out of blocks, with its proportions drawn from six numbers in [-1, 1].

Objects stand upright along z, face +x, and fill about [-0.5, 0.5]^3. Every shape has a body; those with a named part
can be two-toned.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

BODY, PART = 0, 1


@dataclass
class Block:
    """One primitive: centre, dimensions as the primitive reads them, the axis its own z points along, and whether
    body or part.
    """

    kind: str
    center: tuple[float, float, float]
    dims: tuple[float, ...]
    axis: str = "z"
    tone: int = BODY


@dataclass
class ObjectShape:
    name: str
    build: Callable[..., list[Block]]
    part: str | None = None
    plural: bool = field(default=False)


SHAPES: dict[str, ObjectShape] = {}


def shape(name: str, part: str | None = None, plural: bool = False):
    def register(build):
        SHAPES[name] = ObjectShape(name, build, part, plural)
        return build

    return register


def between(low: float, high: float, u: float) -> float:
    return low + (high - low) * (u + 1) / 2


@shape("ball")
def ball(u):
    return [Block("ellipsoid", (0, 0, 0), (0.5, 0.5, between(0.44, 0.5, u[0])))]


@shape("cube")
def cube(u):
    return [Block("box", (0, 0, 0), (0.42, between(0.36, 0.44, u[0]), 0.42, between(0.01, 0.1, u[1])))]


@shape("cylinder")
def cylinder(u):
    r = between(0.26, 0.36, u[0])
    return [Block("frustum", (0, 0, 0), (0.48, r, r))]


@shape("cone")
def cone(u):
    return [Block("frustum", (0, 0, 0), (0.48, between(0.36, 0.46, u[0]), between(0.01, 0.06, u[1])))]


@shape("donut")
def donut(u):
    tube = between(0.1, 0.18, u[0])
    return [Block("torus", (0, 0, 0), (0.5 - tube, tube))]


@shape("pyramid")
def pyramid(u):
    return [Block("pyramid", (0, 0, 0), (between(0.36, 0.46, u[0]), between(0.42, 0.5, u[1]), 0.01))]


@shape("bowl")
def bowl(u):
    return [
        Block("shell", (0, 0, 0.25), (0.46, between(0.035, 0.06, u[0]))),
        Block("frustum", (0, 0, -0.22), (0.05, between(0.14, 0.22, u[1]), between(0.1, 0.16, u[1]))),
    ]


@shape("mug", part="handle")
def mug(u):
    r, h = between(0.28, 0.36, u[0]), between(0.34, 0.42, u[1])
    ring = between(0.17, 0.23, u[2])
    return [
        Block("cup", (-0.08, 0, 0), (h, r, 0.06)),
        Block("torus", (r - 0.08, 0, 0), (ring, between(0.05, 0.07, u[3])), axis="y", tone=PART),
    ]


@shape("table", part="legs", plural=True)
def table(u):
    x, y = between(0.38, 0.48, u[0]), between(0.3, 0.46, u[1])
    leg = between(0.04, 0.075, u[2])
    legs = [
        Block("box", (sx * (x - leg), sy * (y - leg), -0.08), (leg, leg, 0.34, 0.01), tone=PART)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    return [Block("box", (0, 0, 0.3), (x, y, between(0.045, 0.08, u[3]), 0.02)), *legs]


@shape("chair", part="legs", plural=True)
def chair(u):
    half = between(0.26, 0.34, u[0])
    leg = between(0.035, 0.06, u[1])
    back = between(0.2, 0.28, u[2])
    legs = [
        Block("box", (sx * (half - leg), sy * (half - leg), -0.28), (leg, leg, 0.22, 0.01), tone=PART)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    return [
        Block("box", (0, 0, -0.04), (half, half, 0.055, 0.02)),
        Block("box", (-half + 0.05, 0, back), (0.05, half, back, 0.02)),
        *legs,
    ]


@shape("lamp", part="shade")
def lamp(u):
    pole = between(0.035, 0.06, u[0])
    return [
        Block("frustum", (0, 0, -0.44), (0.05, between(0.2, 0.28, u[1]), between(0.16, 0.22, u[1]))),
        Block("frustum", (0, 0, -0.1), (0.32, pole, pole)),
        Block("frustum", (0, 0, 0.28), (0.2, between(0.3, 0.38, u[2]), between(0.12, 0.22, u[3])), tone=PART),
    ]


@shape("mushroom", part="cap")
def mushroom(u):
    stem = between(0.1, 0.17, u[0])
    z = between(0.08, 0.16, u[1])
    return [
        Block("frustum", (0, 0, -0.2), (0.3, stem * 1.2, stem)),
        Block("ellipsoid", (0, 0, z), (between(0.38, 0.48, u[2]),) * 2 + (between(0.2, 0.3, u[3]),), tone=PART),
    ]


@shape("tree", part="trunk")
def tree(u):
    low, high = between(0.34, 0.42, u[0]), between(0.24, 0.32, u[1])
    trunk = between(0.07, 0.12, u[2])
    return [
        Block("frustum", (0, 0, -0.36), (0.14, trunk, trunk), tone=PART),
        Block("frustum", (0, 0, -0.06), (0.2, low, 0.1)),
        Block("frustum", (0, 0, 0.25), (0.24, high, 0.01)),
    ]


@shape("rocket", part="nose")
def rocket(u):
    r = between(0.15, 0.21, u[0])
    fin = between(0.3, 0.4, u[1])
    return [
        Block("frustum", (0, 0, -0.06), (0.3, r, r)),
        Block("frustum", (0, 0, 0.37), (0.14, r * 1.02, 0.02), tone=PART),
        Block("box", (0, 0, -0.34), (fin, 0.03, 0.11, 0.01)),
        Block("box", (0, 0, -0.34), (0.03, fin, 0.11, 0.01)),
    ]


@shape("snowman", part="head")
def snowman(u):
    low, middle, head = between(0.27, 0.32, u[0]), between(0.2, 0.24, u[1]), between(0.14, 0.18, u[2])
    return [
        Block("ellipsoid", (0, 0, -0.22), (low, low, low)),
        Block("ellipsoid", (0, 0, 0.13), (middle, middle, middle)),
        Block("ellipsoid", (0, 0, 0.38), (head, head, head), tone=PART),
    ]


@shape("hammer", part="handle")
def hammer(u):
    grip = between(0.05, 0.08, u[0])
    return [
        Block("frustum", (0, 0, -0.14), (0.36, grip, grip), tone=PART),
        Block("box", (0, 0, 0.32), (between(0.12, 0.17, u[1]), between(0.34, 0.44, u[2]), 0.14, 0.03)),
    ]


@shape("dumbbell", part="bar")
def dumbbell(u):
    r = between(0.2, 0.28, u[0])
    bar = between(0.05, 0.08, u[1])
    return [
        Block("frustum", (0, 0, 0), (0.4, bar, bar), axis="y", tone=PART),
        Block("ellipsoid", (0, 0.34, 0), (r, between(0.14, 0.2, u[2]), r)),
        Block("ellipsoid", (0, -0.34, 0), (r, between(0.14, 0.2, u[2]), r)),
    ]


@shape("arrow")
def arrow(u):
    shaft = between(0.06, 0.1, u[0])
    return [
        Block("frustum", (-0.12, 0, 0), (0.36, shaft, shaft), axis="x"),
        Block("frustum", (0.32, 0, 0), (0.18, between(0.22, 0.3, u[1]), 0.01), axis="x"),
    ]


@shape("house", part="roof")
def house(u):
    x, y = between(0.32, 0.4, u[0]), between(0.34, 0.44, u[1])
    rise = between(0.14, 0.22, u[2])
    return [
        Block("box", (0, 0, -0.2), (x, y, 0.26, 0.01)),
        Block("gable", (0, 0, 0.06 + rise), (rise, x + 0.08, 0.01, y + 0.05), tone=PART),
    ]


@shape("car", part="wheels", plural=True)
def car(u):
    cabin = between(0.22, 0.3, u[0])
    wheel = between(0.12, 0.16, u[1])
    wheels = [
        Block("frustum", (sx * 0.28, sy * 0.24, -0.2), (0.06, wheel, wheel), axis="y", tone=PART)
        for sx in (-1, 1)
        for sy in (-1, 1)
    ]
    return [
        Block("box", (0, 0, -0.06), (0.5, 0.24, 0.13, 0.04)),
        Block("box", (between(-0.1, 0.02, u[2]), 0, 0.16), (cabin, 0.21, 0.13, 0.05)),
        *wheels,
    ]


@shape("bottle", part="cap")
def bottle(u):
    r, neck = between(0.19, 0.26, u[0]), between(0.07, 0.1, u[1])
    return [
        Block("frustum", (0, 0, -0.16), (0.32, r, r)),
        Block("frustum", (0, 0, 0.22), (0.08, r, neck)),
        Block("frustum", (0, 0, 0.34), (0.08, neck, neck)),
        Block("frustum", (0, 0, 0.44), (0.06, neck * 1.45, neck * 1.45), tone=PART),
    ]


@shape("cross")
def cross(u):
    arm, bar = between(0.09, 0.14, u[0]), between(0.3, 0.42, u[1])
    return [
        Block("box", (0, 0, 0), (arm, arm, 0.5, 0.01)),
        Block("box", (0, 0, between(0.06, 0.16, u[2])), (arm, bar, arm, 0.01)),
    ]


@shape("staircase")
def staircase(u):
    width = between(0.28, 0.4, u[0])
    return [
        Block("box", (0.125 + 0.125 * i - 0.125, 0, -0.375 + 0.125 * i), (0.5 - 0.125 * i, width, 0.125, 0.005))
        for i in range(4)
    ]


@shape("bed", part="pillow")
def bed(u):
    y = between(0.26, 0.34, u[0])
    board = between(0.2, 0.3, u[1])
    return [
        Block("box", (0, 0, -0.14), (0.48, y, 0.1, 0.03)),
        Block("box", (-0.46, 0, board - 0.24), (0.04, y, board, 0.01)),
        Block("box", (-0.27, 0, 0.02), (0.13, y * 0.8, 0.08, 0.05), tone=PART),
        *[
            Block("box", (sx * 0.43, sy * (y - 0.05), -0.3), (0.05, 0.05, 0.1, 0.01))
            for sx in (-1, 1)
            for sy in (-1, 1)
        ],
    ]


@shape("umbrella", part="handle")
def umbrella(u):
    r = between(0.4, 0.48, u[0])
    return [
        Block("frustum", (0, 0, 0.25), (between(0.12, 0.18, u[1]), r, 0.03)),
        Block("frustum", (0, 0, -0.1), (0.38, 0.045, 0.045), tone=PART),
        Block("torus", (0.09, 0, -0.46), (0.09, 0.045), axis="y", tone=PART),
    ]
