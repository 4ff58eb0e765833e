//! The check engine: findings with cause and remedy.
