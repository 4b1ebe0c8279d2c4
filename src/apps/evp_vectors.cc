// evp-vectors TYPE FILE...: signs every case of published test vectors with the product's own signers and compares.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <span>
#include <vector>

#include "apps/vectors/vectors.h"
#include "io/files.h"

namespace {

using namespace evp;
using namespace evp::vectors;

constexpr std::size_t max_file_bytes = 64 << 20;

struct vector_type {
  std::string_view name;
  sign_case sign;
  std::string_view help;
};
constexpr vector_type types[] = {
    {"s3", sign_s3, "presigned S3 URLs (also as: aws, minio), and the requests of AWS's own test suite"},
    {"aws", sign_s3, ""},
    {"minio", sign_s3, ""},
    {"ibm", sign_ibm, "S3 URLs of IBM Cloud Object Storage"},
    {"azure", sign_azure, "shared access signatures: the string-to-sign and the query"},
    {"gcs", sign_gcs, "signed URLs and POST policies of Google Cloud Storage (V4)"},
    {"oss", sign_oss, "Alibaba OSS, V4 and V1, URLs and Authorization fields"},
    {"cos", sign_cos, "Tencent COS"},
    {"obs", sign_obs, "Huawei OBS"},
    {"tos", sign_tos, "Volcengine TOS"},
    {"bos", sign_bos, "Baidu BOS"},
    {"qiniu", sign_qiniu, "upload tokens and download URLs of Qiniu Kodo"},
    {"oci", sign_oci, "signatures of Oracle Cloud's API requests"},
    {"swift", sign_swift, "temporary URLs of OpenStack Swift"},
    {"post-policy", sign_post_policy, "S3 upload forms: policy, fields and signature"},
};

void print_usage(std::FILE* out) {
  fmt::print(out,
             "usage: evp-vectors TYPE FILE...\n\n"
             "Signs every case of the files with OpenEVP's own signer and compares the outcome with what the file "
             "says.\nURLs are compared whole, their queries in order of name.\n");
  for (const auto& t : types)
    if (!t.help.empty()) fmt::print(out, "  {:<12} {}\n", t.name, t.help);
  fmt::print(out,
             "Prints \"N of M equal\" and the first case that differs; with several files also the numbers of each.\n"
             "Exit status: 0 all equal; 1 a case differs, or a file is unreadable or holds no case; 2 wrong usage.\n");
}

/// The cases of a file: an array, the arrays of objects in an object, or an object that is itself one case.
std::vector<const json::object*> cases_of(const json::value& file) {
  std::vector<const json::object*> found;
  const auto add = [&](const json::value& v) {
    if (!v.is_array()) return;
    for (const auto& c : v.as_array())
      if (c.is_object()) found.push_back(&c.as_object());
  };
  add(file);
  if (file.is_object())
    for (const auto& member : file.as_object()) add(member.value());
  if (found.empty() && file.is_object() && !file.as_object().contains("cases")) found.push_back(&file.as_object());
  return found;
}

struct tally {
  std::size_t equal = 0, all = 0;
  std::string first_difference;
};

/// Signs the cases of one file. A case that cannot be signed differs.
result<tally> check_file(const std::string& path, sign_case sign) {
  TRY(const auto bytes, io::read_file(path, max_file_bytes));
  tally t;
  try {  // Boost.JSON reports a file of another form by exceptions
    const auto parsed = json::parse(bytes);
    const source from{path, parsed.is_object() ? parsed.as_object() : json::object()};
    for (const auto* c : cases_of(parsed)) {
      ++t.all;
      const auto o = sign(from, *c);
      if (o && o->got == o->expected && !o->expected.empty()) {
        ++t.equal;
      } else if (t.first_difference.empty()) {
        const auto where = fmt::format("first that differs: {}, case {}", path, t.all);
        t.first_difference = o ? fmt::format("{} ({})\nexpected:\n{}\ngot:\n{}\n", where, o->name, o->expected, o->got)
                               : fmt::format("{}: {}\n", where, o.error().message());
      }
    }
  } catch (const std::exception& e) {
    return fail(errc::invalid_argument, fmt::format("not a vector file, case {}: {}", t.all, e.what()));
  }
  if (t.all == 0) return fail(errc::invalid_argument, "holds no case");
  return t;
}

/// Prints the tally of each file and of all; true when all cases of all files are equal.
bool check_files(std::span<char*> paths, sign_case sign) {
  tally total;
  bool readable = true;
  for (const std::string path : paths) {
    auto t = check_file(path, sign);
    if (!t) {
      fmt::print(stderr, "evp-vectors: {}: {}\n", path, t.error().message());
      readable = false;
      continue;
    }
    if (paths.size() > 1) fmt::print("{}: {} of {}\n", path, t->equal, t->all);
    total.equal += t->equal;
    total.all += t->all;
    if (total.first_difference.empty()) total.first_difference = std::move(t->first_difference);
  }
  fmt::print("{} of {} equal\n{}", total.equal, total.all, total.first_difference);
  return readable && total.all > 0 && total.equal == total.all;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc > 1 ? argv[1] : "";
  if (name == "--help" || name == "-h") {
    print_usage(stdout);
    return 0;
  }
  const auto* type = std::find_if(std::begin(types), std::end(types), [&](auto& t) { return t.name == name; });
  if (type == std::end(types) || argc < 3) {
    print_usage(stderr);
    return 2;
  }
  return check_files(std::span(argv + 2, std::size_t(argc - 2)), type->sign) ? 0 : 1;
}
