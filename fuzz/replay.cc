// Runs a fuzz target without libFuzzer: every file of the corpus as it is, then fixed mutations of each.
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <string>

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size);

namespace {

constexpr int mutations_per_file = 2000;

void run(const std::string& bytes) {
  LLVMFuzzerTestOneInput(reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size());
}

std::string mutated(std::string bytes, std::mt19937_64& random) {
  const auto pick = [&](std::size_t n) { return n == 0 ? 0 : std::size_t(random() % n); };
  for (std::size_t changes = 1 + pick(4); changes > 0; --changes) {
    switch (pick(4)) {
      case 0:
        if (!bytes.empty()) bytes[pick(bytes.size())] = char(random());
        break;
      case 1: bytes.resize(pick(bytes.size() + 1)); break;
      case 2: bytes.insert(pick(bytes.size() + 1), 1 + pick(8), char(random())); break;
      default: bytes += bytes.substr(pick(bytes.size() + 1), pick(64));
    }
  }
  return bytes;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return std::fprintf(stderr, "usage: %s CORPUS_FOLDER\n", argv[0]), 2;
  int files = 0;
  std::mt19937_64 random(1);
  for (const auto& e : std::filesystem::directory_iterator(argv[1])) {
    std::ifstream in(e.path(), std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(in), {}};
    run(bytes);
    for (int i = 0; i < mutations_per_file; ++i) run(mutated(bytes, random));
    ++files;
  }
  std::printf("%d files, each with %d mutations\n", files, mutations_per_file);
  return files > 0 ? 0 : 1;
}
