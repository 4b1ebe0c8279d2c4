// For tests: databases on a real PostgreSQL that is started once for the test program, and ended with it.
#pragma once

#include <string>

namespace evp::sql {

/// The URL of a new, empty database. Ends the program when the server does not start: a test that did not meet its
/// server proves nothing.
std::string new_postgresql_database();
/// Ends all connections to that database as a failing server would, and lets new ones in only if `open`.
void end_postgresql_connections(const std::string& url, bool open = true);
/// The same database over TCP, where the server demands the password; `passfile` holds it, or is empty.
std::string over_tcp(const std::string& url, bool with_passfile);
/// That password.
std::string postgresql_password();

}  // namespace evp::sql
