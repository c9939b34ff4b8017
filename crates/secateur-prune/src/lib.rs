//! Criteria, budgets, allocation, surgery.
