#include "gateway/engine/password_file.h"

#include <gtest/gtest.h>

#include "gateway/registry/password_hash.h"
#include "tests/support/temp_file.h"

namespace berth::gateway::engine {
namespace {

using test::TempFile;

// mosquitto_passwd -b -c FILE gate secret, version 2.0.11
constexpr const char* kGate =
    "gate:$7$101$AAAAAAAAAAAAAAAA$qPZJrd0pZ7nyw7sQXnZ0Jr3jmLRXcBGqKHk2xRNoeS0YJnEkpmPVOUVmrm1ZkJU+"
    "A7AYxYmrt6oqC2lCGyD3Mw==\n";

const std::string kHash = std::string(kGate).substr(5, std::string(kGate).size() - 6);

std::string load_error(const std::string& text) {
  TempFile f(text);
  try {
    PasswordFile::load(f.path);
    return {};
  } catch (const std::runtime_error& e) {
    return std::string(e.what()).substr(f.path.size());
  }
}

TEST(PasswordFile, TellsWhereItIsBad) {
  EXPECT_EQ(load_error("# comment\n\nnocolon\n"), ":3: expected user:hash");
  EXPECT_EQ(load_error(":" + kHash + "\n"), ":1: expected user:hash");
  EXPECT_EQ(load_error("u:plaintext\n"), ":1: unknown hash format, use mosquitto_passwd");
  EXPECT_EQ(load_error("u:$7$0$AAAA$AAAA\n"), ":1: bad iteration count");
  EXPECT_EQ(load_error("u:$7$101x$AAAA$AAAA\n"), ":1: bad iteration count");
  EXPECT_EQ(load_error("u:$7$101$AAAA$AAAA\n"), ":1: bad base64");
  EXPECT_EQ(load_error(std::string(257, 'u') + ":" + kHash),
            ":1: user name of more than 256 bytes");
  EXPECT_EQ(load_error(kGate + std::string("gate:") + kHash),
            ":2: user 'gate' stands in a line above already");
  EXPECT_EQ(load_error(kGate), "");
}

// One hash would keep everybody's log-in waiting for seconds.
TEST(PasswordFile, AHashThatTakesSecondsIsRefused) {
  const std::string rest = kHash.substr(kHash.find('$', 3));
  EXPECT_EQ(load_error("# dear\nu:$7$10000000" + rest + "\n"), ":2: more than 250000 iterations");
  EXPECT_EQ(load_error("u:$7$250000" + rest + "\n"), "");
}

// Mosquitto takes each of these.
TEST(PasswordFile, BlanksAndMarksAreNothingOfALine) {
  for (const std::string& text :
       {std::string(kGate), "\xef\xbb\xbf" + std::string(kGate), "gate:" + kHash + "\r\n",
        "gate:" + kHash + " \t\r\n", "gate:" + kHash, "gate: " + kHash, " gate :" + kHash,
        "\r\n \t\n#\r\n gate:" + kHash}) {
    TempFile f(text);
    const PasswordFile p = PasswordFile::load(f.path);
    ASSERT_NE(p.stored("gate"), nullptr) << text;
    EXPECT_EQ(*p.stored("gate"), kHash) << text;
    EXPECT_EQ(p.size(), 1u) << text;
  }
}

TEST(PasswordFile, CountsWhatHasChanged) {
  const auto loaded = [](const std::string& text) {
    TempFile f(text);
    return PasswordFile::load(f.path);
  };
  std::string other = kHash;
  other[other.size() - 5] = other[other.size() - 5] == 'A' ? 'B' : 'A';
  const PasswordFile before = loaded("a:" + kHash + "\nb:" + kHash + "\nc:" + kHash + "\n");
  const PasswordFile now = loaded("b:" + other + "\nc:" + kHash + "\nd:" + kHash + "\n");
  const PasswordFile::Difference d = now.since(before);
  EXPECT_EQ(d.added, 1u);
  EXPECT_EQ(d.removed, 1u);
  EXPECT_EQ(d.changed, 1u);
}

TEST(PasswordFile, WhatCouldBeMeantOtherwiseIsRefused) {
  EXPECT_EQ(load_error("ga\rte:" + kHash + "\n"), ":1: control character");
  EXPECT_EQ(load_error("\ngate:" + kHash + "\rother:" + kHash + "\r"), ":2: control character");
  EXPECT_EQ(load_error(std::string("gate\0:", 6) + kHash), ":1: control character");
  EXPECT_EQ(load_error("\xff\xfeg"), ":1: not UTF-8");
  EXPECT_THROW(PasswordFile::load("/"), std::runtime_error) << "a directory";
  EXPECT_THROW(PasswordFile::load("/nonexistent"), std::runtime_error);
}

TEST(PasswordFile, KnowsWhatItsHashesCost) {
  TempFile f(kGate + ("other:" + registry::PasswordHash::make("x", 7)));
  const PasswordFile p = PasswordFile::load(f.path);
  EXPECT_EQ(p.costs().total(), 2u);
  EXPECT_EQ(p.costs().pick(0), 7);
  EXPECT_EQ(p.costs().pick(1), 101);
  EXPECT_EQ(p.costs().pick(2), 7);
  EXPECT_EQ(p.stored("nobody"), nullptr);
}

}  // namespace
}  // namespace berth::gateway::engine
