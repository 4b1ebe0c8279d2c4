// For tests: a PKCS #11 token in software (SoftHSM), in a folder that goes with the object.
#pragma once

#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace evp {

/// Token "openevp", PIN 271828. SoftHSM reads SOFTHSM2_CONF when the engine loads it, so a process has one.
class softhsm {
 public:
  static constexpr const char* module = "/usr/lib/softhsm/libsofthsm2.so";
  static constexpr const char* pin = "271828";

  softhsm() {
    std::string name = (std::filesystem::temp_directory_path() / "evp-token-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) std::abort();
    folder_ = name;
    std::filesystem::create_directory(folder_ / "tokens");
    const auto conf = (folder_ / "softhsm2.conf").string();
    std::ofstream(conf) << "directories.tokendir = " << (folder_ / "tokens").string() << "\nlog.level = ERROR\n";
    ::setenv("SOFTHSM2_CONF", conf.c_str(), 1);
    must_run("softhsm2-util --init-token --free --label openevp --so-pin 314159 --pin " + std::string(pin));
  }
  ~softhsm() { remove(); }
  void remove() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  softhsm(const softhsm&) = delete;

  /// As an operator does at manufacture. `type`: "EC:prime256v1", "rsa:2048".
  void make_key(const std::string& label, const std::string& type, const std::string& id) {
    must_run("pkcs11-tool --module " + std::string(module) + " --token-label openevp --login --pin " + pin +
             " --keypairgen --key-type " + type + " --label " + label + " --id " + id);
  }
  static std::string uri(const std::string& object) {
    return "pkcs11:token=openevp;object=" + object + ";type=private";
  }
  const std::filesystem::path& folder() const { return folder_; }

 private:
  static void must_run(const std::string& command) {
    if (std::system((command + " >/dev/null").c_str()) == 0) return;
    std::fprintf(stderr, "the test's token cannot be made (softhsm2, opensc): %s\n", command.c_str());
    std::abort();
  }
  std::filesystem::path folder_;
};

}  // namespace evp
