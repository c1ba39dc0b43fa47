"""Supply planning: forecasts and offers -> plan -> replay, exports, the scheduled job."""
