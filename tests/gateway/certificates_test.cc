// Certificates and keys as they are read for every TLS context.
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <ctime>
#include <filesystem>
#include <fstream>
#include <memory>

#include "gateway/runtime/certificates.h"
#include "tests/support/certificates.h"

namespace berth::gateway::runtime {
namespace {

namespace fs = std::filesystem;

class CertificatesTest : public ::testing::Test {
 protected:
  CertificatesTest() : directory_(make()), certificates_(directory_) {}
  ~CertificatesTest() override { fs::remove_all(directory_); }
  static std::string make() {
    std::string name = fs::temp_directory_path() / "berth-certificates-XXXXXX";
    return mkdtemp(name.data());
  }
  std::string file(const std::string& name) const { return certificates_.file(name); }
  std::string why(const std::string& cert, const std::string& key) const {
    const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> c(SSL_CTX_new(TLS_method()),
                                                              SSL_CTX_free);
    try {
      use_certificate(c.get(), file(cert), file(key));
      return {};
    } catch (const std::runtime_error& e) {
      return e.what();
    }
  }
  const std::string directory_;
  test::Certificates certificates_;
};

TEST_F(CertificatesTest, AGoodPairSaysWhenItEnds) {
  certificates_.issue("one", "one.example");
  const std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> c(SSL_CTX_new(TLS_method()),
                                                            SSL_CTX_free);
  const auto in_two_days = std::time(nullptr) + 2 * 86'400;
  EXPECT_NEAR(use_certificate(c.get(), file("one.crt"), file("one.key")), in_two_days, 120);
  EXPECT_NEAR(earliest_expiry(file("ca.crt")), in_two_days, 120);
}

TEST_F(CertificatesTest, WhatIsBadIsNamed) {
  certificates_.issue("one", "one.example");
  certificates_.issue("two", "two.example");
  EXPECT_EQ(why("one.crt", "two.key"),
            file("two.key") + ": not the key of " + file("one.crt") + ": key values mismatch");
  EXPECT_NE(why("none.crt", "one.key").find("none.crt: "), std::string::npos);
  std::ofstream(file("empty.crt"));
  EXPECT_NE(why("empty.crt", "one.key").find("empty.crt: no start line"), std::string::npos);
  EXPECT_THROW(earliest_expiry(file("empty.crt")), std::runtime_error);
  std::ofstream(file("cut.crt")) << "-----BEGIN CERTIFICATE-----\nMIIB";
  EXPECT_NE(why("cut.crt", "one.key").find("cut.crt: "), std::string::npos);
  EXPECT_THROW(earliest_expiry(file("none.crt")), std::runtime_error);
}

// A key of another kind than the certificate's is not compared by OpenSSL when it is read.
TEST_F(CertificatesTest, AKeyOfAnotherKindIsNamed) {
  certificates_.issue("one", "one.example");
  ASSERT_EQ(std::system(("openssl genrsa -out " + file("rsa.key") + " 2048 2>/dev/null").c_str()),
            0);
  EXPECT_NE(why("one.crt", "rsa.key").find("rsa.key: "), std::string::npos);
}

TEST_F(CertificatesTest, AKeyWithAPassphraseIsRefusedAndNobodyIsAsked) {
  certificates_.issue("one", "one.example");
  ASSERT_EQ(std::system(("openssl ec -aes128 -passout pass:x -in " + file("one.key") + " -out " +
                         file("locked.key") + " 2>/dev/null")
                            .c_str()),
            0);
  EXPECT_NE(why("one.crt", "locked.key").find("locked.key: "), std::string::npos);
}

}  // namespace
}  // namespace berth::gateway::runtime
