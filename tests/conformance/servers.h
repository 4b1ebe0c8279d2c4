// The real storage servers of the suite: started once, before the first test, and ended after the last.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

/// Runs the start scripts of tests/fixtures. A server that does not start fails the run: a test that did not meet its
/// server proves nothing.
class servers final : public testing::Environment {
 public:
  void SetUp() override;
  void TearDown() override;

  /// A value that a start script has written, such as "AZURITE_HTTP". Ends the program if there is none.
  static std::string value(const std::string& name);
  /// A folder of the run, removed at its end.
  static std::filesystem::path folder();
};
