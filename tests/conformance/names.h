// Object names that break careless encoding; each passes check_object_name.
#pragma once

#include <string>
#include <vector>

const std::vector<std::string>& nasty_names();
