"""What authors of planners run in their own tests."""

from __future__ import annotations

from .planner_contract import ContractError, ContractReport, planner_contract

__all__ = ["ContractError", "ContractReport", "planner_contract"]
