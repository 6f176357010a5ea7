"""An agent of pydantic-ai, hosted: it needs the package and a key of the model's provider."""

from typing import Literal

from pydantic import BaseModel
from pydantic_ai import Agent as Model

from streams import Context, agent
from streams.integrations.pydantic_ai import charge_usage


class Triage(BaseModel):
    team: Literal["billing", "technical", "sales"]
    urgent: bool


model = Model("openai:gpt-5-mini", output_type=Triage, defer_model_check=True)


@agent(timeout=60)
async def triage(ctx: Context, message: str) -> Triage:
    """Find the team that a customer's message is for."""
    result = await model.run(message)
    charge_usage(ctx, result)
    return result.output
