// Certificates and keys as they are read for every TLS context, and that a change of files is seen.
#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>

#include "gateway/runtime/certificates.h"
#include "gateway/runtime/file_watch.h"
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

// -- FileWatch

class FileWatchTest : public CertificatesTest {
 protected:
  void watch(const std::vector<std::string>& files) {
    watch_ = std::make_unique<FileWatch>(
        io_, files, [this] { ++changes_; }, std::chrono::milliseconds(5));
  }
  bool run_until(const std::function<bool()>& done) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(20);
    while (!done() && std::chrono::steady_clock::now() < end)
      io_.run_one_for(std::chrono::milliseconds(50));
    return done();
  }
  // The watch's timer has fired so often: enough for it to have seen what is there.
  void looks(int n) {
    for (int i = 0; i < n; ++i) io_.run_one_for(std::chrono::seconds(5));
  }
  boost::asio::io_context io_{1};
  std::unique_ptr<FileWatch> watch_;
  int changes_ = 0;
};

TEST_F(FileWatchTest, TellsOfContentsOnce) {
  std::ofstream(file("a")) << "1";
  watch({file("a"), ""});
  looks(3);
  EXPECT_EQ(changes_, 0);
  std::ofstream(file("a")) << "12";
  ASSERT_TRUE(run_until([&] { return changes_ == 1; }));
  looks(3);
  EXPECT_EQ(changes_, 1);
  fs::remove(file("a"));
  ASSERT_TRUE(run_until([&] { return changes_ == 2; }));
  std::ofstream(file("a")) << "12";
  ASSERT_TRUE(run_until([&] { return changes_ == 3; }));
}

// As the kubelet does: files are links into ..data, which is a link that is renamed over.
TEST_F(FileWatchTest, TellsOfASwappedDirectory) {
  for (const char* version : {"v1", "v2"}) {
    fs::create_directory(file(version));
    std::ofstream(file(std::string(version) + "/tls.crt")) << "same";
  }
  fs::create_directory_symlink("v1", file("..data"));
  fs::create_symlink("..data/tls.crt", file("tls.crt"));
  watch({file("tls.crt")});
  looks(2);
  fs::create_directory_symlink("v2", file("..tmp"));
  fs::rename(file("..tmp"), file("..data"));
  EXPECT_TRUE(run_until([&] { return changes_ == 1; }));
}

TEST_F(FileWatchTest, MayBeEndedByWhoHearsOfTheChange) {
  std::ofstream(file("a")) << "1";
  watch_ = std::make_unique<FileWatch>(
      io_, std::vector<std::string>{file("a")}, [this] { ++changes_, watch_.reset(); },
      std::chrono::milliseconds(5));
  std::ofstream(file("a")) << "12";
  EXPECT_TRUE(run_until([&] { return changes_ == 1; }));
}

}  // namespace
}  // namespace berth::gateway::runtime
