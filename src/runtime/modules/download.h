// Fetches a module's file: nothing is put in its place before its SHA-256 has been checked.
#pragma once

#include "http/client.h"
#include "io/pool.h"
#include "runtime/modules/options.h"
#include "wire/messages.h"

namespace evp::runtime {

/// <data>/modules/<id>
io::fs::path module_file(const instances_options& o, const std::string& id);
/// SHA-256 of the file in hexadecimal; empty if it cannot be read. Blocks for the disk: run it on a pool.
std::string hash_of_file(const io::fs::path& path);
/// Downloads the module to its place with mode 0755. Errors: those of http::transport, data_corrupt (another hash),
/// unavailable (another HTTP status than 2xx), unsupported (scheme), too_large. Messages never hold the URL.
io::task<result<void>> fetch_module(const instances_options& o, http::transport& http, io::pool& disk, std::string id,
                                    wire::module_spec spec);

}  // namespace evp::runtime
