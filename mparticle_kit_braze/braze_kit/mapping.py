r"""The mapping in tables, the four profiles side by side.

A cell says what reaches Braze: an event with its properties, a purchase with product id, price, currency, quantity and
properties, an attribute, or ``-`` for nothing. Every row is run by a test, so the tables cannot drift.

Events and screens

| call | native | web | android | ios |
|---|---|---|---|---|
| `log_event("e")` | `e` | `e` | `e` | `e` |
| `log_event("$$e", {"$$k": "$v"})` | `e {"k": "$v"}` | `e {"k": "v"}` | `$$e {"$$k": "$v"}` | `$$e {"$k": "$v"}` |
| `log_event("e", {"i": 5, "d": 2.0, "b": True})` | `e {"i": 5, "d": 2.0, "b": true}` | `e {"i": 5, "d": 2.0, "b": true}` | `e {"i": "5", "d": "2.0", "b": "true"}` | `e {"i": "5", "d": "2", "b": "true"}` |
| `log_event("e", {"i": "5", "d": "2.5", "b": "TRUE"}, type_detection)` | `e {"i": "5", "d": "2.5", "b": "TRUE"}` | `e {"i": "5", "d": "2.5", "b": "TRUE"}` | `e {"i": 5, "d": 2.5, "b": true}` | `e {"i": 5, "d": 2.5, "b": true}` |
| `log_event("e", {"t": datetime(2020, 1, 2, 3, 4, 5)})` | `e {"t": "2020-01-02T03:04:05"}` | `e {"t": "2020-01-02T03:04:05"}` | `e {"t": "2020-01-02T03:04:05"}` | `e {"t": "2020-01-02T03:04:05+0000"}` |
| `log_event("e", {"n": None})` | `e` | `e {"n": null}` | `e` | `e` |
| `log_event("e", {"o": {"k": 1}, "l": [1, 2]})` | `e` | `e` | `e {"o": "{k=1}", "l": "[1, 2]"}` | `e {"o": "{\"k\": 1}", "l": "[1, 2]"}` |
| `log_screen("s", {"$k": 1})` | - | - | - | - |
| `log_screen("s", {"$k": 1}, forward_screen_views)` | `s {"k": 1}` | `s {"k": 1}` | `s {"$k": "1"}` | `s {"k": "1"}` |

A top-level ``null`` property is not sent by the adapter.

User attributes

| call | native | web | android | ios |
|---|---|---|---|---|
| `set_user_attribute("$FirstName", "Ada")` | `first_name "Ada"` | `first_name "Ada"` | `first_name "Ada"` | `first_name "Ada"` |
| `set_user_attribute("$FirstName", None)` | `first_name null` | `first_name ""` | - | `first_name null` |
| `remove_user_attribute("$FirstName")` | `first_name null` | `first_name ""` | `first_name null` | `first_name null` |
| `set_user_attribute("$MPUserMobile", "+1 555")` | `MPUserMobile "+1 555"` | `MPUserMobile "+1 555"` | `MPUserMobile "+1 555"` | `phone "+1 555"` |
| `set_user_attribute("email", "a@b.co")` | `email "a@b.co"` | `email "a@b.co"` | `email "a@b.co"` (custom) | `email "a@b.co"` (custom) |
| `set_user_attribute("$Gender", "F")` | `gender "f"` | `gender "F"` | `gender "f"` | `gender "f"` |
| `set_user_attribute("$Gender", "Female")` | `gender "f"` | `gender "Female"` (refused) | `gender "f"` | `gender "o"` |
| `set_user_attribute("$Age", 30)` | `dob` 30 years ago | `dob` 30 years ago | `dob` 30 years ago | `dob` 30 years ago |
| `set_user_attribute("$Age", "30")` | `dob` 30 years ago | - | `dob` 30 years ago | `dob` 30 years ago |
| `set_user_attribute("dob", "1990-02-03")` | `dob` 1990-2-3 | - | `dob` 1990-2-3 | `dob` 1990-2-3 |
| `set_user_attribute("$Zip", "02134")` | `Zip "02134"` | `Zip "02134"` | `Zip "02134"` | `Zip "02134"` |
| `set_user_attribute("email_subscribe", "opted_in")` | `email_subscribe "opted_in"` | `email_subscribe "opted_in"` | `email_subscribe "opted_in"` | `email_subscribe "opted_in"` |
| `set_user_attribute("$$k", "$v")` | `k "$v"` | `k "v"` | `$k "$v"` | `$k "$v"` |
| `set_user_attribute("k", True)` | `k true` | `k true` | `k "true"` | `k "1"` |
| `set_user_attribute("k", 2.0)` | `k 2.0` | `k 2.0` | `k "2.0"` | `k "2"` |
| `set_user_attribute("k", "")` | `k ""` | `k ""` | `k ""` | - |
| `set_user_attribute_list("k", ["$a", "b"])` | `k ["$a", "b"]` | `k ["a", "b"]` | `k ["$a", "b"]` | `k ["$a", "b"]` |
| `set_user_attribute_list("k", [1, "b"])` | `k ["1", "b"]` | - | `k ["1", "b"]` | - |
| `set_user_tag("k")` | `k true` | `k null` | - | - |
| `increment_user_attribute("k", 2, total=5)` | `k +2` | `k 5` | `k "5"` | `k +2` |
| `increment_user_attribute("k", 0.5, total=1.5)` | `k 1.5` | `k 1.5` | `k "1.5"` | `k +0` |
| `remove_user_attribute("k")` | `k null` | `k null` | `k null` | `k null` |
| `set_user_attribute("news", True, subscription_groups)` | subscribe `g1` | `news true` | subscribe `g1` | subscribe `g1` |
| `set_user_attribute("news", "true", subscription_groups)` | subscribe `g1` | `news "true"` | subscribe `g1` | - |
| `set_opt_out(True)` | - | - | - | `email_subscribe "unsubscribed"` |

Commerce, one product ``Product("Tea", "tea", 4.5, 2)`` in an order ``TransactionAttributes("t", revenue=9)``

| call | native | web | android | ios |
|---|---|---|---|---|
| `purchase()` | `tea 4.5 USD 2 {"Name": "Tea", "Total Amount": 9, "Total Product Amount": 9.0, "Transaction Id": "t"}` | `Tea 4.5 - 2 {"Sku": "tea", "Transaction Id": "t"}` | `tea 4.5 USD 2 {"Name": "Tea", "Total Amount": 9.0, "Transaction Id": "t"}` | `tea 4.5 USD 2 {"Name": "Tea", "Total Amount": 9, "Total Product Amount": "9", "Transaction Id": "t"}` |
| `purchase(bundle)` | `eCommerce - purchase 9 USD 1 {"Total Amount": 9, "Transaction Id": "t", "products": [{"Id": "tea", "Item Price": 4.5, "Name": "Tea", "Quantity": 2, "Total Product Amount": 9.0}]}` | `eCommerce - purchase 9 - 1 {"Transaction Id": "t", "products": [{"Attributes": null, "Id": "tea", "Name": "Tea", "Price": 4.5, "Quantity": 2, "Total Product Amount": 9.0}]}` | `eCommerce - purchase 9.0 USD 1 {"Total Amount": 9.0, "Transaction Id": "t", "products": [{"Id": "tea", "Item Price": 4.5, "Name": "Tea", "Quantity": 2.0, "Total Product Amount": 9.0}]}` | `eCommerce - purchase 9 USD 1 {"Total Amount": 9, "Transaction Id": "t", "products": [{"Id": "tea", "Item Price": "4.5", "Name": "Tea", "Quantity": "2", "Total Product Amount": "9"}]}` |
| `click()` | `eCommerce - click - Item {"Id": "tea", "Item Price": 4.5, "Name": "Tea", "Quantity": 2, "Total Product Amount": 9.0, "Transaction Id": "t"}` | `eCommerce - click - Item {"Id": "tea", "Item Price": 4.5, "Name": "Tea", "Quantity": 2, "Total Amount": 9, "Total Product Amount": 9.0, "Transaction Id": "t"}` | `eCommerce - click - Item {"Id": "tea", "Item Price": "4.5", "Name": "Tea", "Quantity": "2.0", "Total Product Amount": "9.0", "Transaction Id": "t"}` | `eCommerce - click - Item {"Id": "tea", "Item Price": "4.5", "Name": "Tea", "Quantity": "2", "Total Product Amount": "9"}` |

Defaults and identity

| what | native | web | android | ios |
|---|---|---|---|---|
| unchanged attributes sent again | no | yes | yes, but the email | yes |
| email comes from | `emailIdentificationType`, else Email | Email | Email | `emailIdentificationType` only |
| identities looked at | the user's | the user's | the user's | the request's |
| `source` of recommended events | `Python` | `web` | `Android` | `iOS` |
| push tokens without `push_enabled` | taken | taken | not taken | taken |
"""  # noqa: E501  (a row of a table is one line)

from __future__ import annotations

__all__: list[str] = []
