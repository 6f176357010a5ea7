"""What the tests of the command line run."""

import asyncio

from pydantic import BaseModel

from streams import Context, PermanentError, agent


class Order(BaseModel):
    customer: str
    item: str


@agent
async def greet(ctx: Context, name: str) -> str:
    """Greets, for a price."""
    ctx.charge("greeting", amount_micros=1_500)
    ctx.log.info("greeting %s", name)
    if name == "nobody":
        raise PermanentError("nobody is there")
    if name == "slow":
        await asyncio.sleep(3)
    return f"hello {name}"


@agent
async def ship(ctx: Context, order: Order) -> str:
    return f"{order.item} to {order.customer}"
