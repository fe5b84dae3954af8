"""A queue worker: orders come in, two packers put them into parcels. asyncio, standard library only."""

import asyncio
import logging
import random
from dataclasses import dataclass, field

log = logging.getLogger("worker")
chance = random.Random()  # noqa: S311 - what people order is no secret

LARGEST_PARCEL = 2000  # grams
WEIGHTS = {"tea": 120, "coffee": 500, "mug": 350, "teapot": 900, "biscuits": 200}


@dataclass
class Order:
    number: int
    products: list[str]


@dataclass
class Parcel:
    order: int
    products: list[str] = field(default_factory=list)

    @property
    def weight(self) -> int:
        return sum(WEIGHTS[product] for product in self.products)


async def take_orders(orders: asyncio.Queue[Order]) -> None:
    number = 0
    while True:
        number += 1
        products = chance.choices(list(WEIGHTS), k=chance.randint(1, 8))
        await orders.put(Order(number, products))
        await asyncio.sleep(chance.uniform(0.2, 0.6))


def pack(order: Order) -> list[Parcel]:
    """The heaviest first, each into the first parcel that has room."""
    parcels: list[Parcel] = []
    for product in sorted(order.products, key=WEIGHTS.__getitem__, reverse=True):
        for parcel in parcels:
            if parcel.weight + WEIGHTS[product] <= LARGEST_PARCEL:
                parcel.products.append(product)
                break
        else:
            parcels.append(Parcel(order.number, [product]))
    return parcels


async def packer(name: str, orders: asyncio.Queue[Order]) -> None:
    while True:
        order = await orders.get()
        parcels = pack(order)
        await asyncio.sleep(0.05 * len(parcels))  # carrying them takes a while
        log.debug("%s packed order %d into %d parcels", name, order.number, len(parcels))
        orders.task_done()


async def main() -> None:
    orders: asyncio.Queue[Order] = asyncio.Queue(maxsize=20)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(take_orders(orders), name="take orders")
        tasks.create_task(packer("Ada", orders), name="packer Ada")
        tasks.create_task(packer("Grace", orders), name="packer Grace")


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    asyncio.run(main())
