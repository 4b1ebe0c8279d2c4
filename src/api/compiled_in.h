// Texts of this folder that are compiled into the program: openapi.json, docs.js, docs.css.
#pragma once

#include <string_view>

namespace evp::api {

extern const std::string_view openapi_json, docs_script, docs_style;

}  // namespace evp::api
