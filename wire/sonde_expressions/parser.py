"""Words become nodes, or the text is refused with the part that is not of the language and what to write instead.

A recursive descent in Python's own order of precedence, so that what is accepted means what it means in Python:

    conditional  or  and  not  comparison  + -  * / // %  unary  **  . [] ()  atom
"""

from __future__ import annotations

from sonde_expressions import limits
from sonde_expressions.calls import FUNCTIONS, METHODS
from sonde_expressions.errors import InvalidExpression
from sonde_expressions.nodes import (
    Attribute,
    Binary,
    Boolean,
    Call,
    Compare,
    Conditional,
    Constant,
    Display,
    Name,
    Node,
    Slice,
    Subscript,
    Unary,
    dotted,
    is_calculated,
    is_identity,
)
from sonde_expressions.tokens import END, NAME, NUMBER, TEXT, Token, scan
from sonde_expressions.words import COMPARISONS, CONSTANTS, INNER_WORDS, INSTEAD, STATEMENTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def parse(text: str, start: int, stop: int) -> Node:
    """What stands between two places of a text."""
    reader = _Reader(text, scan(text, start, stop))
    node = reader.conditional()
    if reader.here.kind != END:
        reader.refuse_here()
    return node


class _Reader:
    """Reads ahead by one word. Each method reads what it is named after and leaves what follows."""

    def __init__(self, text: str, tokens: list[Token]) -> None:
        self.text = text
        self.tokens = tokens
        self.at = 0
        self.here = tokens[0]
        self.nodes = 0
        self.nesting = 0

    def conditional(self) -> Node:
        self._enter()
        yes = self.alternative()
        if self._took("if"):
            test = self.alternative()
            self._expect("else", "a conditional expression needs its else: `a if test else b`")
            yes = self._made(Conditional(test, yes, self.conditional()))
        self.nesting -= 1
        return yes

    def alternative(self) -> Node:
        items = [self.conjunction()]
        while self._took("or"):
            items.append(self.conjunction())
        return items[0] if len(items) == 1 else self._made(Boolean("or", items))

    def conjunction(self) -> Node:
        items = [self.negation()]
        while self._took("and"):
            items.append(self.negation())
        return items[0] if len(items) == 1 else self._made(Boolean("and", items))

    def negation(self) -> Node:
        token = self.here
        if not self._took("not"):
            return self.comparison()
        self._enter()
        operand = self.negation()
        self.nesting -= 1
        return self._made(Unary(token.position, "not", operand))

    def comparison(self) -> Node:
        first = self.addition()
        rest: list[tuple[str, Node]] = []
        while (found := self._comparison_sign()) is not None:
            sign, token = found
            right = self.addition()
            left = rest[-1][1] if rest else first
            if sign in ("is", "is not") and not (is_identity(left) or is_identity(right)):
                self._refuse(token, "`is` is offered with None, True and False; compare others with ==")
            rest.append((sign, right))
        return self._made(Compare(first, rest)) if rest else first

    def _comparison_sign(self) -> tuple[str, Token] | None:
        token = self.here
        if token.text in COMPARISONS and token.kind != TEXT:
            self._next()
            return token.text, token
        if self._took("in"):
            return "in", token
        if self._took("is"):
            return ("is not" if self._took("not") else "is"), token
        if self._is("not"):
            self._next()
            self._expect("in", "`not` stands here only in `not in`")
            return "not in", token
        return None

    def addition(self) -> Node:
        left = self.multiplication()
        while self._is("+") or self._is("-"):
            sign = self._next().text
            left = self._made(Binary(sign, left, self.multiplication()))
        return left

    def multiplication(self) -> Node:
        left = self.signed()
        while self._is("*") or self._is("/") or self._is("//") or self._is("%"):
            sign = self._next().text
            left = self._made(Binary(sign, left, self.signed()))
        return left

    def signed(self) -> Node:
        token = self.here
        if not (self._took("-") or self._took("+")):
            return self.power()
        self._enter()
        operand = self.signed()
        self.nesting -= 1
        value = operand.value if type(operand) is Constant else None
        if token.text == "-" and (type(value) is int or type(value) is float):
            return Constant(token.position, operand.stop, -value)
        return self._made(Unary(token.position, token.text, operand))

    def power(self) -> Node:
        base = self.trailed()
        if not self._took("**"):
            return base
        self._enter()
        exponent = self.signed()
        self.nesting -= 1
        return self._made(Binary("**", base, exponent))

    def trailed(self) -> Node:
        """An atom with its attributes, subscripts and calls."""
        node = self.atom()
        while True:
            if self._took("."):
                node = self._attribute(node)
            elif self._is("["):
                node = self._subscript(node)
            elif self._is("("):
                self._refuse_part(
                    node,
                    f"this could run the program's code; only {', '.join(sorted(FUNCTIONS))} and methods of texts such "
                    "as .startswith() are offered",
                )
            else:
                return node

    def _attribute(self, value: Node) -> Node:
        token = self.here
        if token.kind != NAME:
            self._refuse(token, "the name of an attribute is expected after the dot")
        self._check_name(token)
        self._next()
        if not self._is("("):
            return self._made(Attribute(token.stop, value, token.text))
        if token.text not in METHODS:
            self._refuse_span(
                value.position,
                token.stop,
                f"this could run the program's code; of methods, only those of texts are offered: {', '.join(METHODS)}",
            )
        arguments, stop = self._arguments()
        fewest, most = METHODS[token.text]
        self._check_count(token, len(arguments), fewest, most)
        return self._made(Call(value.position, stop, token.text, value, arguments))

    def _arguments(self) -> tuple[list[Node], int]:
        self._next()
        found: list[Node] = []
        while not self._is(")"):
            token = self.here
            if token.text in ("*", "**") and token.kind != TEXT:
                self._refuse(token, "arguments are written one by one here, without * and **")
            found.append(self.conditional())
            if self._is("="):
                self._refuse_part(found[-1], "arguments are given by their place here, not by name")
            if not self._took(","):
                break
        self._check_items(found)
        return found, self._expect(")", "the call is never closed; add `)`").stop

    def _subscript(self, value: Node) -> Node:
        opening = self._next()
        if self._is(":"):
            return self._slice(value, None)
        if self._is("]"):
            self._refuse_span(
                opening.position, self.here.stop, "an index or a key is expected between the brackets"
            )
        index = self.conditional()
        if self._is(":"):
            return self._slice(value, index)
        if self._is(","):
            self._refuse(self.here, "one index or key is offered, not several")
        stop = self._expect("]", "the subscript is never closed; add `]`").stop
        if type(index) is not Constant and not is_calculated(index):
            self._refuse_part(
                index,
                "a subscript is a constant, a name, or a sum of names and numbers, as in items[0] or rows[i - 1]",
            )
        return self._made(Subscript(stop, value, index))

    def _slice(self, value: Node, low: Node | None) -> Node:
        self._next()
        high = None if self._is("]") or self._is(":") else self.conditional()
        if self._is(":"):
            self._refuse(self.here, "slices have no step here; write two numbers, as in text[:20]")
        stop = self._expect("]", "the slice is never closed; add `]`").stop
        return self._made(Slice(stop, value, self._bound(low), self._bound(high)))

    def _bound(self, node: Node | None) -> Any:
        if node is None:
            return None
        value: Any = node.value if type(node) is Constant else None
        if type(value) is not int:
            self._refuse_part(node, "the ends of a slice are numbers that are written down, as in text[:20]")
        return value

    def atom(self) -> Node:
        token = self.here
        if token.kind == NUMBER:
            self._next()
            return self._made(Constant(token.position, token.stop, token.value))
        if token.kind == TEXT:
            self._next()
            if self.here.kind == TEXT:
                self._refuse(self.here, "two texts stand side by side; write them as one")
            return self._made(Constant(token.position, token.stop, token.value))
        if token.kind == NAME and token.text not in INNER_WORDS and token.text not in STATEMENTS:
            return self._name(token)
        if token.text == "(":
            return self._bracketed(token, ")")
        if token.text == "[":
            return self._bracketed(token, "]")
        return self.refuse_here()

    def _name(self, token: Token) -> Node:
        self._next()
        if token.text in CONSTANTS:
            return self._made(Constant(token.position, token.stop, CONSTANTS[token.text]))
        self._check_name(token)
        if not (self._is("(") and token.text in FUNCTIONS):
            return self._made(Name(token.position, token.stop, token.text))
        arguments, stop = self._arguments()
        fewest, most = FUNCTIONS[token.text]
        self._check_count(token, len(arguments), fewest, most)
        if token.text == "isinstance":
            arguments[1] = self._class_names(arguments[1])
        return self._made(Call(token.position, stop, token.text, None, arguments))

    def _class_names(self, node: Node) -> Node:
        """What isinstance() asks for, as a constant tuple of texts."""
        listed = node.items if type(node) is Display and not node.is_list else [node]
        return Constant(node.position, node.stop, tuple(self._class_name(each) for each in listed))

    def _class_name(self, node: Node) -> Any:
        value: Any = node.value if type(node) is Constant else dotted(node)
        if type(value) is not str or not value:
            self._refuse_part(
                node,
                'a class is given by its name, as in isinstance(x, Order) or isinstance(x, "shop.Order")',
            )
        return value

    def _bracketed(self, opening: Token, closing: str) -> Node:
        self._next()
        items: list[Node] = []
        has_comma = False
        while not self._is(closing):
            if self._is("*"):
                self._refuse(self.here, "items are written one by one here, without *")
            items.append(self.conditional())
            has_comma = self._took(",")
            if not has_comma:
                break
            self._check_items(items)
        if self.here.kind == END:
            self._refuse(opening, f"this is never closed; add `{closing}`")
        stop = self._expect(closing, f"`,` or `{closing}` is expected here").stop
        if closing == ")" and len(items) == 1 and not has_comma:
            items[0].position, items[0].stop = opening.position, stop
            return items[0]
        self._check_items(items)
        return self._made(Display(opening.position, stop, items, closing == "]"))

    # What is refused, and where.

    def refuse_here(self) -> Node:
        token = self.here
        if token.kind == END:
            message = "a value is expected here" if self.at else "write an expression, as in n > 100"
        elif token.kind in (NAME, TEXT, NUMBER) and token.text not in INSTEAD:
            message = (
                f"`{token.text}` begins a statement; only an expression has a value"
                if token.text in STATEMENTS
                else "this is not expected here; an operator such as == or `and` may be missing"
            )
        else:
            message = INSTEAD.get(token.text, "this is not expected here")
        return self._refuse(token, message)

    def _refuse(self, token: Token, message: str) -> Node:
        raise InvalidExpression(self.text, token.position, len(token.text), message)

    def _refuse_part(self, node: Node, message: str) -> None:
        self._refuse_span(node.position, node.stop, message)

    def _refuse_span(self, position: int, stop: int, message: str) -> None:
        raise InvalidExpression(self.text, position, stop - position, message)

    def _check_name(self, token: Token) -> None:
        if token.text.startswith("__"):
            self._refuse(
                token,
                "names that begin with two underscores are not offered; for the class of a value write type(x), for an "
                "attribute of class Order that is private to it write _Order__name",
            )
        if token.text in INNER_WORDS or token.text in STATEMENTS or token.text in CONSTANTS:
            self._refuse(token, "this word of Python's cannot be a name")

    def _check_count(self, token: Token, count: int, fewest: int, most: int) -> None:
        if not fewest <= count <= most:
            wanted = f"{fewest}" if fewest == most else f"{fewest} to {most}"
            self._refuse(token, f"{token.text}() takes {wanted} arguments here, and has {count}")

    def _check_items(self, items: list[Node]) -> None:
        if len(items) > limits.ITEMS:
            self._refuse_part(items[limits.ITEMS], f"at most {limits.ITEMS} are written down in one place")

    # Reading on.

    def _next(self) -> Token:
        token = self.here
        if token.kind != END:
            self.at += 1
            self.here = self.tokens[self.at]
        return token

    def _is(self, sign: str) -> bool:
        return self.here.text == sign and self.here.kind != TEXT

    def _took(self, sign: str) -> bool:
        if not self._is(sign):
            return False
        self._next()
        return True

    def _expect(self, sign: str, message: str) -> Token:
        if not self._is(sign):
            token = self.here
            if token.kind != END and token.text in INSTEAD and token.text not in (",", ":"):
                self.refuse_here()
            self._refuse(token, message)
        return self._next()

    def _enter(self) -> None:
        self.nesting += 1
        if self.nesting > limits.DEPTH:
            self._refuse(
                self.here, f"more than {limits.DEPTH} levels stand in one another here; make it simpler"
            )

    def _made(self, node: Node) -> Node:
        self.nodes += 1
        if self.nodes > limits.NODES:
            self._refuse_part(node, f"an expression has at most {limits.NODES} parts; make it two probes")
        if node.depth > limits.DEPTH:
            self._refuse_part(
                node, f"more than {limits.DEPTH} levels stand in one another here; make it simpler"
            )
        return node
