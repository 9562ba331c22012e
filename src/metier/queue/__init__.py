"""What people are asked to look at: items, leases, answers."""

from metier.queue.clear import clear_text
from metier.queue.items import (
    LEASE_S,
    STATES,
    Item,
    ItemState,
    NewItem,
    add_items,
    answer_item,
    count_items,
    get_item,
    items_of,
    list_items,
    next_item,
    reopen_item,
    skip_item,
)

__all__ = [
    "LEASE_S",
    "STATES",
    "Item",
    "ItemState",
    "NewItem",
    "add_items",
    "answer_item",
    "clear_text",
    "count_items",
    "get_item",
    "items_of",
    "list_items",
    "next_item",
    "reopen_item",
    "skip_item",
]
