"""Paging from memory while the store is away: what is remembered, what is sent, and what is told afterwards."""
