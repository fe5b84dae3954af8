"""What an expression is made of, once it has been read."""

from __future__ import annotations


class Node:
    """`position` and `stop` are its place in the text, `depth` how many levels of parts are below it, itself counted."""

    __slots__ = ("depth", "position", "stop")

    def __init__(self, position: int, stop: int, *parts: Node) -> None:
        self.position = position
        self.stop = stop
        self.depth: int = 1 + max((part.depth for part in parts), default=0)


class Constant(Node):
    __slots__ = ("value",)

    def __init__(self, position: int, stop: int, value: object) -> None:
        super().__init__(position, stop)
        self.value = value


class Name(Node):
    __slots__ = ("name",)

    def __init__(self, position: int, stop: int, name: str) -> None:
        super().__init__(position, stop)
        self.name = name


class Attribute(Node):
    __slots__ = ("name", "value")

    def __init__(self, stop: int, value: Node, name: str) -> None:
        super().__init__(value.position, stop, value)
        self.value = value
        self.name = name


class Subscript(Node):
    __slots__ = ("index", "value")

    def __init__(self, stop: int, value: Node, index: Node) -> None:
        super().__init__(value.position, stop, value, index)
        self.value = value
        self.index = index


class Slice(Node):
    __slots__ = ("high", "low", "value")

    def __init__(self, stop: int, value: Node, low: int | None, high: int | None) -> None:
        super().__init__(value.position, stop, value)
        self.value = value
        self.low = low
        self.high = high


class Display(Node):
    """A list or a tuple that is written down."""

    __slots__ = ("is_list", "items")

    def __init__(self, position: int, stop: int, items: list[Node], is_list: bool) -> None:
        super().__init__(position, stop, *items)
        self.items = items
        self.is_list = is_list


class Unary(Node):
    """`-`, `+` or `not`."""

    __slots__ = ("operand", "sign")

    def __init__(self, position: int, sign: str, operand: Node) -> None:
        super().__init__(position, operand.stop, operand)
        self.sign = sign
        self.operand = operand


class Binary(Node):
    __slots__ = ("left", "right", "sign")

    def __init__(self, sign: str, left: Node, right: Node) -> None:
        super().__init__(left.position, right.stop, left, right)
        self.sign = sign
        self.left = left
        self.right = right


class Boolean(Node):
    """`and` or `or`, of two or more."""

    __slots__ = ("items", "sign")

    def __init__(self, sign: str, items: list[Node]) -> None:
        super().__init__(items[0].position, items[-1].stop, *items)
        self.sign = sign
        self.items = items


class Compare(Node):
    """`first`, and then each comparison with what it is compared to."""

    __slots__ = ("first", "rest")

    def __init__(self, first: Node, rest: list[tuple[str, Node]]) -> None:
        super().__init__(first.position, rest[-1][1].stop, first, *(node for _, node in rest))
        self.first = first
        self.rest = rest


class Conditional(Node):
    __slots__ = ("no", "test", "yes")

    def __init__(self, test: Node, yes: Node, no: Node) -> None:
        super().__init__(yes.position, no.stop, test, yes, no)
        self.test = test
        self.yes = yes
        self.no = no


class Call(Node):
    """A function of the language, or a method when `value` is there."""

    __slots__ = ("arguments", "name", "value")

    def __init__(
        self, position: int, stop: int, name: str, value: Node | None, arguments: list[Node]
    ) -> None:
        super().__init__(position, stop, *arguments, *([] if value is None else [value]))
        self.name = name
        self.value = value
        self.arguments = arguments


def is_identity(node: Node) -> bool:
    return type(node) is Constant and (node.value is None or node.value is True or node.value is False)


def is_calculated(node: Node) -> bool:
    """Whether a subscript is made of the program's names and of numbers. No text is put together into a key: what is
    redacted is known by the keys that are written down."""
    if type(node) is Constant:
        return type(node.value) is int
    if type(node) is Attribute:
        return is_calculated(node.value)
    if type(node) is Subscript:
        return is_calculated(node.value) and (type(node.index) is Constant or is_calculated(node.index))
    if type(node) is Binary:
        return is_calculated(node.left) and is_calculated(node.right)
    if type(node) is Unary:
        return node.sign != "not" and is_calculated(node.operand)
    return type(node) is Name


def dotted(node: Node) -> str | None:
    if type(node) is Name:
        return node.name
    if type(node) is Attribute:
        before = dotted(node.value)
        return None if before is None else f"{before}.{node.name}"
    return None
