// How long a TLS session may go on by its ticket, without a handshake to look at.
#include "gateway/edge/client_trust.h"

#include <gtest/gtest.h>
#include <openssl/ssl.h>

#include <memory>

#include "base/clock.h"
#include "gateway/edge/tls_server.h"

namespace berth::gateway::edge {
namespace {

class Ticket : public ::testing::Test {
 protected:
  Ticket()
      : context_(SSL_CTX_new(TLS_server_method()), SSL_CTX_free),
        trust_(ClientTrust::install(context_.get(), {})),
        tls_(SSL_new(context_.get()), SSL_free),
        facts_(trust_.facts_of(tls_.get())) {}
  bool holds(const std::string& facts) const {
    const std::unique_ptr<SSL_SESSION, decltype(&SSL_SESSION_free)> s(SSL_SESSION_new(),
                                                                      SSL_SESSION_free);
    SSL_SESSION_set1_ticket_appdata(s.get(), facts.data(), facts.size());
    return trust_.holds(s.get());
  }
  std::string with_time(std::size_t at, std::int64_t s) const {
    std::string f = facts_;
    for (std::size_t i = 0; i < 8; ++i) f[at + i] = static_cast<char>(s >> (8 * i));
    return f;
  }
  std::unique_ptr<SSL_CTX, decltype(&SSL_CTX_free)> context_;
  const ClientTrust& trust_;
  std::unique_ptr<SSL, decltype(&SSL_free)> tls_;
  std::string facts_;
};

constexpr std::size_t kBegun = 1;
constexpr std::size_t kEnds = 9;
constexpr std::size_t kDigest = 17;

TEST_F(Ticket, IsBoundedByItsFirstHandshakeAndItsChain) {
  const std::int64_t now = base::now().ms / 1000;
  EXPECT_TRUE(holds(facts_));
  EXPECT_TRUE(holds(with_time(kBegun, now - ClientTrust::kAll_s + 60)));
  EXPECT_FALSE(holds(with_time(kBegun, now - ClientTrust::kAll_s))) << "however often renewed";
  EXPECT_FALSE(holds(with_time(kBegun, now + 3600))) << "of a clock that was wrong";
  EXPECT_TRUE(holds(with_time(kEnds, now + 60)));
  EXPECT_FALSE(holds(with_time(kEnds, now))) << "a certificate of its chain has ended";
}

TEST_F(Ticket, IsBoundToWhatItWasBelievedBy) {
  std::string other = facts_;
  other[kDigest] = static_cast<char>(other[kDigest] + 1);
  EXPECT_FALSE(holds(other)) << "other authorities";
  EXPECT_FALSE(holds("")) << "of an older release";
  EXPECT_FALSE(holds(facts_.substr(0, facts_.size() - 1)));
  other = facts_;
  other[0] = 9;
  EXPECT_FALSE(holds(other));
}

}  // namespace
}  // namespace berth::gateway::edge
