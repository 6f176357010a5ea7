"""Agents that cause all that a task can cause: costs, children, dead letters."""

from streams import Address, Context, PermanentError, agent

NAMER: Address[str, str] = Address("namer", input=str, output=str)


@agent
async def asker(ctx: Context, name: str) -> str:
    """Charges, submits to another agent, and fails for want of a name."""
    ctx.charge("asking", amount_micros=1_500)
    if name == "nobody":
        raise PermanentError("nobody is there")
    return await ctx.submit(NAMER, name)


@agent
async def namer(ctx: Context, name: str) -> str:
    """The other agent."""
    ctx.charge("naming", amount_micros=500)
    return f"I am {name}"
