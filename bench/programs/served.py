"""The function that is passed, alone in its module: who takes a module's variables too finds none."""


def serve(number: int, never: bool) -> float:
    name = "order"
    price = 12.5
    items = ["tea", "milk"]
    order = {"name": name, "price": price}
    paid = True
    rest = None
    if never:
        rest = number  # never reached
    return price if rest is None and paid and items and order else 0.0  # probe here
