#include "gateway/node/secret_files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "gateway/node/engine_setup.h"
#include "tests/support/temp_file.h"

namespace berth::gateway {
namespace {

TEST(SecretFiles, ThoseThatAreOpenAreNamed) {
  test::TempFile key("k");
  test::TempFile other("o");
  Config c;
  c.tls.key_file = key.path + "," + other.path;
  c.password_file = "/nonexistent";
  ::chmod(key.path.c_str(), 0644);
  ::chmod(other.path.c_str(), 0440);
  EXPECT_EQ(open_secrets(c), std::vector<std::string>{"file=" + key.path + " mode=0644"});
  ::chmod(key.path.c_str(), 0620);
  EXPECT_EQ(open_secrets(c).size(), 1u) << "others may write it";
  ::chmod(key.path.c_str(), 0600);
  EXPECT_TRUE(open_secrets(c).empty());
}

TEST(SecretFiles, WhatIsMadeIsOurs) {
  std::string directory = std::filesystem::temp_directory_path() / "berth-secret-XXXXXX";
  mkdtemp(directory.data());
  const auto mode = [&](const std::string& name) {
    struct stat s {};
    return ::stat((directory + name).c_str(), &s) == 0 ? s.st_mode & 07777 : 0;
  };
  std::filesystem::create_directory(directory + "/store");
  std::ofstream(directory + "/registry.db") << "of an older release";
  ::chmod((directory + "/store").c_str(), 0755);
  ::chmod((directory + "/registry.db").c_str(), 0644);
  Config c;
  c.data_directory = directory;
  const mode_t before = ::umask(0);
  keep_secrets(c);
  std::ofstream(directory + "/new") << "x";
  std::filesystem::create_directory(directory + "/folder");
  ::umask(before);
  EXPECT_EQ(mode("/store"), 0700u);
  EXPECT_EQ(mode("/registry.db"), 0600u);
  EXPECT_EQ(mode("/new"), 0600u);
  EXPECT_EQ(mode("/folder"), 0700u);
  std::filesystem::remove_all(directory);
}

// On one machine nobody need say who he is, until there is something by which it could be said.
TEST(Anonymous, EndsWithTheFirstSourceOfNames) {
  using engine::Anonymous;
  Config c;
  EXPECT_EQ(anonymous_of(c), Anonymous::loopback);
  c.acl_file = "acl";
  EXPECT_EQ(anonymous_of(c), Anonymous::loopback);
  c.password_file = "passwords";
  EXPECT_EQ(anonymous_of(c), Anonymous::never);
  set_key(c, "auth.anonymous", "loopback");
  EXPECT_EQ(anonymous_of(c), Anonymous::loopback) << "said so";
  Config registry;
  registry.registry.source = RegistryConfig::Source::store;
  EXPECT_EQ(anonymous_of(registry), Anonymous::never);
  Config certificates;
  certificates.tls.user_name = edge::CertificateName::fingerprint;
  EXPECT_EQ(anonymous_of(certificates), Anonymous::never);
  Config always;
  set_key(always, "auth.anonymous", "always");
  always.password_file = "passwords";
  EXPECT_EQ(anonymous_of(always), Anonymous::always);
}

}  // namespace
}  // namespace berth::gateway
