// Devices over TLS, in both shapes: versions, certificates, tickets, reload, hostile handshakes.
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "gateway/admin/http_client.h"
#include "tests/support/certificates.h"
#include "tests/support/cluster.h"
#include "tests/support/command_line.h"
#include "tests/support/gateway_process.h"
#include "tests/support/made_certificate.h"
#include "tests/support/raw_client.h"
#include "tests/support/tls_client.h"

namespace berth::test {
namespace {

// SHA-256 of the public key of a certificate, as the registry names an authority.
std::string key_digest(const std::string& certificate) {
  const std::string out = certificate + ".digest";
  EXPECT_EQ(std::system(("openssl x509 -in " + certificate +
                         " -pubkey -noout | openssl pkey -pubin -outform DER | sha256sum | "
                         "cut -c1-64 | tr -d '\\n' > " +
                         out)
                            .c_str()),
            0);
  std::ifstream in(out);
  return {std::istreambuf_iterator<char>(in), {}};
}

class Tls : public ::testing::TestWithParam<const char*> {
 protected:
  Tls() : directory_(make_directory()), certificates_(directory_) {
    std::signal(SIGPIPE, SIG_IGN);  // who is refused is written to all the same
    certificates_.issue("server", "localhost");
  }
  ~Tls() override { std::filesystem::remove_all(directory_); }
  static std::string make_directory() {
    std::string name = std::filesystem::temp_directory_path() / "berth-mqtts-XXXXXX";
    return mkdtemp(name.data());
  }
  // A gateway with these lines in its mqtts section.
  std::unique_ptr<GatewayProcess> gateway(const std::string& more = "",
                                          const std::string& name = "g", bool anonymous = true) {
    const std::string path = directory_ + "/" + name + ".yaml";
    std::ofstream(path) << "mqtt:\n  connect_timeout_s: 2\nmqtts:\n  listen: 127.0.0.1:0\n"
                        << "  cert_file: " << certificates_.file("server.crt")
                        << "\n  key_file: " << certificates_.file("server.key") << "\n"
                        << more;
    std::vector<std::string> flags{"--config", path};
    if (anonymous) flags.emplace_back("--anonymous");
    if (*GetParam() != 0) flags.emplace_back(GetParam());
    return std::make_unique<GatewayProcess>(flags);
  }
  TlsClient::Options trust(int version = 0) const {
    return {.ca_file = certificates_.file("ca.crt"), .version = version};
  }
  TlsClient::Options as(const std::string& name) const {
    TlsClient::Options o = trust();
    o.cert_file = certificates_.file(name + ".crt");
    o.key_file = certificates_.file(name + ".key");
    return o;
  }
  std::string directory_;
  Certificates certificates_;
};
INSTANTIATE_TEST_SUITE_P(Shapes, Tls, ::testing::Values("", "--single-process"),
                         [](const auto& i) { return *i.param == 0 ? "supervised" : "single"; });

TEST_P(Tls, BothVersionsCarryMessagesOfAnySize) {
  auto g = gateway();
  auto plain = subscribed(g->mqtt_port(), {.client_id = "plain"}, "up/#", 1);
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsClient c(g->mqtts_port(), trust(version));
    ASSERT_TRUE(c.connect_mqtt({.client_id = "tls" + std::to_string(version)}));
    EXPECT_EQ(c.server_name(), "server");
    ASSERT_TRUE(c.send(subscribe(1, "down", 1)));
    ASSERT_FALSE(c.until(9).empty());
    for (const std::size_t size : {1, 100, 16'384, 16'385, 200'000, 1'000'000}) {
      const std::string payload(size, static_cast<char>('a' + size % 26));
      ASSERT_TRUE(c.send(publish("up/x", payload, 1, 1)));
      const auto up = plain->until(3);
      ASSERT_FALSE(up.empty()) << size;
      EXPECT_EQ(up.back().payload(5), payload);
      plain->send(ack(4, up.back().id()));
      ASSERT_FALSE(c.until(4).empty());
      plain->send(publish("down", payload, 1, 2));
      const auto down = c.until(3);
      ASSERT_FALSE(down.empty()) << size;
      EXPECT_EQ(down.back().payload(5), payload);
      c.send(ack(4, down.back().id()));
      ASSERT_FALSE(plain->until(4).empty());
    }
    c.send(pingreq());
    EXPECT_FALSE(c.until(13).empty());
  }
  EXPECT_EQ(g->metric("berth_tls_handshakes_total{kind=\"full\"}"), 2);
}

TEST_P(Tls, ManyPacketsInOneWriteAreAllRead) {
  auto g = gateway();
  TlsClient c(g->mqtts_port(), trust());
  ASSERT_TRUE(c.connect_mqtt({.client_id = "c"}));
  std::string all;
  for (unsigned i = 1; i <= 1000; ++i) all += publish("t", std::string(700, 'x'), 1, i);
  ASSERT_TRUE(c.send(all));
  for (int i = 0; i < 1000; ++i) ASSERT_FALSE(c.until(4).empty()) << i;
}

TEST_P(Tls, ATicketIsGoodAtEveryEdgeWithTheKey) {
  std::ofstream(directory_ + "/ticket") << std::string(80, 'k');
  const std::string key = "  ticket_key_file: " + directory_ + "/ticket\n";
  auto one = gateway(key, "one");
  auto two = gateway(key, "two");
  auto other = gateway("", "other");
  for (const int version : {TLS1_2_VERSION, TLS1_3_VERSION}) {
    TlsSession ticket;
    {
      TlsClient c(one->mqtts_port(), trust(version));
      ASSERT_TRUE(c.connect_mqtt({.client_id = "c"}));  // a 1.3 ticket comes with the first read
      EXPECT_FALSE(c.resumed());
      ticket = c.session();
    }
    TlsClient::Options o = trust(version);
    o.session = ticket;
    TlsClient again(two->mqtts_port(), o);
    ASSERT_TRUE(again.connect_mqtt({.client_id = "c"}));
    EXPECT_TRUE(again.resumed()) << version;
    TlsClient stranger(other->mqtts_port(), o);
    ASSERT_TRUE(stranger.connect_mqtt({.client_id = "c"}));
    EXPECT_FALSE(stranger.resumed());
  }
  EXPECT_EQ(two->metric("berth_tls_handshakes_total{kind=\"resumed\"}"), 2);
}

TEST_P(Tls, ClientCertificatesAreAskedForAndChecked) {
  certificates_.issue("device", "device-1");
  std::filesystem::create_directory(directory_ + "/else");
  Certificates elsewhere(directory_ + "/else");
  elsewhere.issue("forged", "device-1");
  const std::string ca = "  ca_file: " + certificates_.file("ca.crt") + "\n";
  auto g = gateway(ca + "  client_certificates: required\n");
  TlsClient with(g->mqtts_port(), as("device"));
  EXPECT_TRUE(with.connect_mqtt({.client_id = "with"}));
  TlsClient without(g->mqtts_port(), trust());
  EXPECT_FALSE(without.connect_mqtt({.client_id = "without"}));
  TlsClient::Options forged = trust();
  forged.cert_file = elsewhere.file("forged.crt");
  forged.key_file = elsewhere.file("forged.key");
  TlsClient wrong(g->mqtts_port(), forged);
  EXPECT_FALSE(wrong.connect_mqtt({.client_id = "wrong"}));
  EXPECT_TRUE(eventually([&] {
    return g->metric("berth_connections_closed_before_login_total{reason=\"tls_failed\"}") == 2;
  }));
  auto optional = gateway(ca + "  client_certificates: optional\n", "optional");
  TlsClient none(optional->mqtts_port(), trust());
  EXPECT_TRUE(none.connect_mqtt({.client_id = "none"}));
  TlsClient bad(optional->mqtts_port(), forged);
  EXPECT_FALSE(bad.connect_mqtt({.client_id = "bad"})) << "what is shown must be good";
}

// The name in the certificate is the user name, without a password, whatever CONNECT says; also
// when the TLS session is resumed, and for the engine after the next.
TEST_P(Tls, ACertificateIsALogIn) {
  certificates_.issue("gate-1", "gate-1.lot.example");
  std::ofstream(directory_ + "/acl") << "pattern readwrite dev/%u/#\n";
  const auto refusal = [](TlsClient& c, const std::string& topic) {
    c.send(publish(topic, "x", 1, 7));
    const auto got = c.until(4);
    return got.empty()                  ? -1
           : got.back().body.size() < 3 ? 0
                                        : static_cast<unsigned char>(got.back().body[2]);
  };
  const std::string digest = [&] {
    const std::string out = directory_ + "/digest";
    EXPECT_EQ(std::system(("openssl x509 -in " + certificates_.file("gate-1.crt") +
                           " -outform DER | sha256sum | cut -c1-64 | tr -d '\\n' > " + out)
                              .c_str()),
              0);
    std::ifstream in(out);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }();
  for (const auto& [which, name] :
       std::vector<std::pair<std::string, std::string>>{{"common_name", "gate-1"},
                                                        {"dns_name", "gate-1.lot.example"},
                                                        {"fingerprint", digest}}) {
    auto g = gateway("  ca_file: " + certificates_.file("ca.crt") +
                         "\n  client_certificates: optional\n  user_name: " + which +
                         "\nauth:\n  anonymous: never\n  acl_file: " + directory_ + "/acl\n",
                     which, false);
    TlsClient c(g->mqtts_port(), as("gate-1"));
    ASSERT_TRUE(c.connect_mqtt({.client_id = "c", .user = "somebody-else"})) << which;
    EXPECT_EQ(refusal(c, "dev/" + name + "/up"), 0x10) << "allowed: no subscribers";
    EXPECT_EQ(refusal(c, "dev/somebody-else/up"), 0x87);
    if (*GetParam() == 0) {
      g->signal_engine(SIGKILL);
      EXPECT_EQ(refusal(c, "dev/" + name + "/up"), 0x10);
      EXPECT_EQ(refusal(c, "dev/somebody-else/up"), 0x87);
    }
    TlsClient::Options again = as("gate-1");
    again.session = c.session();
    TlsClient resumed(g->mqtts_port(), again);
    ASSERT_TRUE(resumed.connect_mqtt({.client_id = "r"}));
    EXPECT_TRUE(resumed.resumed());
    EXPECT_EQ(refusal(resumed, "dev/" + name + "/up"), 0x10);
    TlsClient nobody(g->mqtts_port(), trust());
    nobody.send(connect({.client_id = "n"}));
    const auto answer = nobody.until(2);
    ASSERT_FALSE(answer.empty());
    EXPECT_EQ(static_cast<unsigned char>(answer.back().body[1]), 0x87)
        << "no certificate, no password";
  }
}

// The authorities that may sign a tenant's certificates bind open connections too: a device that
// has come in by one ends when the tenant names it no more, and one of another tenant stays.
TEST_P(Tls, OpenConnectionsEndWithTheAuthorityThatTheirTenantNames) {
  const std::string ours = key_digest(certificates_.file("ca.crt"));
  const auto write = [&](const std::string& acme) {
    const std::string at = directory_ + "/registry.yaml";
    std::ofstream(at + ".new")
        << "tenants:\n  - {name: acme, authorities: [" << acme
        << "], sites: [{name: n}], devices: [{name: a, site: n, credentials: [{certificate: a}]}]}"
        << "\n  - {name: mall, authorities: [" << ours
        << "], sites: [{name: n}], devices: [{name: b, site: n, credentials: [{certificate: b}]}]}"
        << "\n";
    std::filesystem::rename(at + ".new", at);
    return at;
  };
  const std::string other(64, 'a');
  const std::string registry = write(other + ", " + ours);
  auto g = gateway("  ca_file: " + certificates_.file("ca.crt") +
                       "\n  client_certificates: required\n  user_name: common_name\n"
                       "registry: {source: file, refresh_ms: 100, file: " +
                       registry + "}\n",
                   "by-registry", false);
  const auto come = [&](const std::string& name) {
    certificates_.issue(name, name);
    auto c = std::make_unique<TlsClient>(g->mqtts_port(), as(name));
    EXPECT_TRUE(c->connect_mqtt({.client_id = name}));
    return c;
  };
  auto a = come("a");
  auto b = come("b");
  if (*GetParam() == 0) {
    g->signal_engine(SIGKILL);  // the next one knows them by their cookies
    a->send(pingreq() + publish("v1/state", "x", 1, 1));
    EXPECT_FALSE(a->until(4).empty());
  }
  write(other);
  const auto said = a->until(14);
  ASSERT_FALSE(said.empty()) << g->log();
  EXPECT_EQ(static_cast<unsigned char>(said.back().body[0]), 0x98);
  b->send(publish("v1/state", "x", 1, 1));
  EXPECT_FALSE(b->until(4).empty());
}

// What a ticket is good for ends with what its session was believed by: the device's certificate,
// its authority, a revocation. Without a signal: the gateway sees that its files have changed.
class TlsTickets : public Tls {
 protected:
  TlsTickets() {
    certificates_.issue("device", "device-1");
    certificates_.issue("other", "device-2");
    std::filesystem::create_directory(directory_ + "/else");
    std::filesystem::copy_file(certificates_.file("ca.crt"), certificates_.file("trusted.crt"));
  }
  std::unique_ptr<GatewayProcess> asking(const std::string& more = "",
                                         const std::string& name = "g") {
    return gateway("  ca_file: " + certificates_.file("trusted.crt") +
                       "\n  client_certificates: required\n" + more,
                   name);
  }
  // Is the client let in, by its ticket or with a full handshake?
  bool let_in(const GatewayProcess& g, const TlsClient::Options& o, bool* resumed = nullptr) {
    TlsClient c(g.mqtts_port(), o);
    const bool in = c.connect_mqtt({.client_id = "c"});
    if (resumed != nullptr) *resumed = in && c.resumed();
    return in;
  }
  TlsSession ticket_of(const GatewayProcess& g, TlsClient::Options o) {
    TlsClient c(g.mqtts_port(), o);
    EXPECT_TRUE(c.connect_mqtt({.client_id = "c"}));
    return c.session();
  }
  void replace(const std::string& from, const std::string& to) {
    std::filesystem::copy_file(from, to + ".draft");
    std::filesystem::rename(to + ".draft", to);
  }
};
INSTANTIATE_TEST_SUITE_P(Shapes, TlsTickets, ::testing::Values(""),
                         [](const auto&) { return "supervised"; });

TEST_P(TlsTickets, EndWithTheCertificate) {
  auto g = asking();
  for (const int version : {TLS1_3_VERSION, TLS1_2_VERSION}) {
    Signer(certificates_.file("ca")).end_after(certificates_.file("device"), 10);
    TlsClient::Options o = as("device");
    o.version = version;
    o.session = ticket_of(*g, o);
    bool resumed = false;
    ASSERT_TRUE(let_in(*g, o, &resumed));
    EXPECT_TRUE(resumed) << version;
    EXPECT_TRUE(eventually([&] { return !let_in(*g, o); })) << version;
  }
}

TEST_P(TlsTickets, EndWithTheAuthority) {
  Certificates elsewhere(directory_ + "/else");
  auto g = asking();
  TlsClient::Options o = as("device");
  o.session = ticket_of(*g, o);
  ASSERT_TRUE(let_in(*g, o));
  replace(elsewhere.file("ca.crt"), certificates_.file("trusted.crt"));
  EXPECT_TRUE(eventually([&] { return !let_in(*g, o); }));
  EXPECT_NE(g->log().find("certificates of devices read again"), std::string::npos);
}

TEST_P(TlsTickets, EndWithARevocation) {
  const Signer ca(certificates_.file("ca"));
  const std::string list = directory_ + "/crl.pem";
  ca.revoke("", list);
  auto g = asking("  crl_file: " + list + "\n");
  TlsClient::Options o = as("device");
  o.session = ticket_of(*g, o);
  TlsClient::Options other = as("other");
  other.session = ticket_of(*g, other);
  bool resumed = false;
  ASSERT_TRUE(let_in(*g, o, &resumed));
  EXPECT_TRUE(resumed);
  ca.revoke(certificates_.file("device"), list);
  EXPECT_TRUE(eventually([&] { return !let_in(*g, o); }));
  EXPECT_TRUE(let_in(*g, other)) << "with a full handshake";
  EXPECT_GT(g->metric("berth_certificate_expiry_timestamp_seconds{name=\"mqtts_crl\"}"), 0);
  EXPECT_GT(g->metric("berth_certificate_expiry_timestamp_seconds{name=\"mqtts\"}"), 0);
}

// What ends a ticket ends an open connection too: the end of the certificate, a revocation, the end
// of its authority.
TEST_P(TlsTickets, OpenConnectionsEndWithWhatLetThemIn) {
  const Signer ca(certificates_.file("ca"));
  const std::string list = directory_ + "/crl.pem";
  ca.revoke("", list);
  certificates_.issue("brief", "device-3");
  auto g = asking("  crl_file: " + list + "\n");
  const auto open = [&](const std::string& name, const TlsSession& session = {}) {
    TlsClient::Options o = as(name);
    o.session = session;
    auto c = std::make_unique<TlsClient>(g->mqtts_port(), o);
    EXPECT_TRUE(c->connect_mqtt({.client_id = name}));
    return c;
  };
  const auto told = [](TlsClient& c) {
    const auto said = c.until(14);
    return said.empty() ? -1 : static_cast<int>(static_cast<unsigned char>(said.back().body[0]));
  };
  auto revoked = open("device");
  auto other = open("other", ticket_of(*g, as("other")));  // resumed
  EXPECT_TRUE(other->resumed());
  ca.revoke(certificates_.file("device"), list);
  EXPECT_EQ(told(*revoked), 0x87);
  ca.end_after(certificates_.file("brief"), 10);
  auto brief = open("brief");
  EXPECT_EQ(told(*brief), 0x87) << "it has ended";
  other->send(std::string("\xc0\x00", 2));
  EXPECT_FALSE(other->until(13).empty()) << "it is as good as before";
  Certificates elsewhere(directory_ + "/else");
  replace(elsewhere.file("ca.crt"), certificates_.file("trusted.crt"));
  EXPECT_EQ(told(*other), 0x87) << "nobody vouches for it";
  EXPECT_EQ(g->metric("berth_connection_closed_total{reason=\"policy\"}"), 3);
}

// A certificate without the name that is the log-in is no reason to ask for a password.
TEST_P(TlsTickets, ACertificateWithoutANameIsNoWayAround) {
  auto g = asking("  user_name: dns_name\nauth:\n  anonymous: always\n", "named");
  EXPECT_TRUE(let_in(*g, as("device")));
  EXPECT_FALSE(let_in(*g, as("ca"))) << "it has a common name only";
  EXPECT_GE(g->metric("berth_connections_closed_before_login_total{reason=\"tls_failed\"}"), 1);
}

// No library asks a terminal for the passphrase: the files stay as they were.
TEST_P(TlsTickets, AKeyWithAPassphraseIsABadKey) {
  auto g = asking();
  const std::string key = certificates_.file("server.key");
  ASSERT_EQ(std::system(("openssl pkey -in " + key + " -aes128 -passout pass:secret -out " + key +
                         ".new && mv " + key + ".new " + key)
                            .c_str()),
            0);
  g->process().send(SIGHUP);
  EXPECT_TRUE(eventually(
      [&] { return g->log().find("certificates of devices stay") != std::string::npos; }));
  EXPECT_TRUE(let_in(*g, as("device")));
}

// I11: connections stay, new ones get the new certificate; what is broken changes nothing.
TEST_P(Tls, CertificatesAreReadAgainOnSighup) {
  auto g = gateway();
  TlsClient before(g->mqtts_port(), trust());
  ASSERT_TRUE(before.connect_mqtt({.client_id = "before"}));
  const auto replace = [&](const std::string& name) {
    for (const char* what : {".crt", ".key"}) {
      std::filesystem::copy_file(certificates_.file(name + what),
                                 certificates_.file(std::string("server") + what),
                                 std::filesystem::copy_options::overwrite_existing);
    }
    g->process().send(SIGHUP);
  };
  certificates_.issue("next", "localhost");
  replace("next");
  EXPECT_TRUE(
      eventually([&] { return TlsClient(g->mqtts_port(), trust()).server_name() == "next"; }));
  std::ofstream(certificates_.file("server.crt")) << "nonsense";
  g->process().send(SIGHUP);
  EXPECT_TRUE(eventually(
      [&] { return g->log().find("certificates of devices stay") != std::string::npos; }));
  EXPECT_EQ(TlsClient(g->mqtts_port(), trust()).server_name(), "next");
  before.send(pingreq());
  EXPECT_FALSE(before.until(13).empty()) << "it has been here all the time";
}

// A gateway that has had good certificates starts with the last of them, and says so.
TEST_P(Tls, BadCertificatesAtAStartAreThoseOfBefore) {
  const std::string data = directory_ + "/kept";
  std::filesystem::create_directory(data);
  const std::string path = directory_ + "/kept.yaml";
  std::ofstream(path) << "mqtts:\n  listen: 127.0.0.1:0\n  cert_file: "
                      << certificates_.file("server.crt")
                      << "\n  key_file: " << certificates_.file("server.key") << "\n";
  std::vector<std::string> flags{"--config", path, "--anonymous"};
  if (*GetParam() != 0) flags.emplace_back(GetParam());
  GatewayProcess g(flags, data);
  g.kill9();
  std::ofstream(certificates_.file("server.crt")) << "none\n";
  g.start();
  TlsClient c(g.mqtts_port(), trust());
  EXPECT_TRUE(c.connect_mqtt({.client_id = "c"}));
  int status = 0;
  EXPECT_NE(g.get("/readyz", &status).find("degraded: device_certificates: "), std::string::npos);
  EXPECT_EQ(status, 200);
  EXPECT_EQ(g.metric("berth_degraded{part=\"device_certificates\"}"), 1);
}

TEST_P(Tls, NonsenseSilenceAndHalfHandshakesEnd) {
  auto g = gateway();
  RawClient plain(g->mqtts_port());
  plain.send(connect({.client_id = "not tls"}));
  EXPECT_TRUE(plain.closed_within(std::chrono::seconds(5)));
  RawClient silent(g->mqtts_port());
  RawClient half(g->mqtts_port());
  half.send(std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
  EXPECT_TRUE(silent.closed_within(std::chrono::seconds(10)));
  EXPECT_TRUE(half.closed_within(std::chrono::seconds(10)));
  EXPECT_GE(g->metric("berth_connections_closed_before_login_total{reason=\"tls_failed\"}"), 1);
  EXPECT_GE(g->metric("berth_connections_closed_before_login_total{reason=\"handshake_timeout\"}"),
            2);
  TlsClient c(g->mqtts_port(), trust());
  EXPECT_TRUE(c.connect_mqtt({.client_id = "c"}));
}

TEST_P(Tls, ASlowReaderOverTlsGetsEverything) {
  auto g = gateway();
  TlsClient slow(g->mqtts_port(), trust());
  ASSERT_TRUE(slow.connect_mqtt({.client_id = "slow"}));
  slow.send(subscribe(1, "t", 1));
  ASSERT_FALSE(slow.until(9).empty());
  auto p = connected(g->mqtt_port(), {.client_id = "p"});
  const std::string payload(100'000, 'x');
  for (unsigned i = 1; i <= 60; ++i) {  // more than the sockets and our buffers take
    p->send(publish("t", payload, 1, i));
    ASSERT_FALSE(p->until(4).empty());
  }
  for (int i = 0; i < 60; ++i) {
    const auto got = slow.until(3);
    ASSERT_FALSE(got.empty()) << i;
    EXPECT_EQ(got.back().payload(5), payload);
    slow.send(ack(4, got.back().id()));
  }
}

TEST_P(Tls, MosquittoToolsSpeakIt) {
  auto g = gateway();
  const std::string port = std::to_string(g->mqtts_port());
  const std::string ca = certificates_.file("ca.crt");
  Process sub({"stdbuf", "-oL", "mosquitto_sub", "-h", "127.0.0.1", "-p", port, "--cafile", ca,
               "-t", "t", "-q", "1", "-d"},
              directory_ + "/sub");
  ASSERT_TRUE(eventually([&] { return sub.log().find("SUBACK") != std::string::npos; }));
  Process pub({"mosquitto_pub", "-h", "127.0.0.1", "-p", port, "--cafile", ca, "--tls-version",
               "tlsv1.2", "-t", "t", "-q", "1", "-m", "hello over tls"},
              directory_ + "/pub");
  EXPECT_EQ(pub.wait(), 0) << pub.log();
  EXPECT_TRUE(eventually([&] { return sub.log().find("hello over tls") != std::string::npos; }));
}

TEST(TlsSupervised, EnginesDieAndConnectionsStay) {
  std::string d = std::filesystem::temp_directory_path() / "berth-mqtts-XXXXXX";
  mkdtemp(d.data());
  {
    Certificates certificates(d);
    certificates.issue("server", "localhost");
    std::ofstream(d + "/g.yaml") << "mqtts:\n  listen: 127.0.0.1:0\n  cert_file: " << d
                                 << "/server.crt\n  key_file: " << d << "/server.key\n";
    GatewayProcess g({"--anonymous", "--config", d + "/g.yaml", "--shards", "2"});
    std::vector<std::unique_ptr<TlsClient>> devices;
    for (int i = 0; i < 20; ++i) {
      devices.push_back(std::make_unique<TlsClient>(
          g.mqtts_port(), TlsClient::Options{.ca_file = certificates.file("ca.crt")}));
      ASSERT_TRUE(devices.back()->connect_mqtt({.client_id = "d" + std::to_string(i)}));
      devices.back()->send(subscribe(1, "t/" + std::to_string((i + 19) % 20), 1));
      ASSERT_FALSE(devices.back()->until(9).empty());
    }
    for (unsigned round = 1; round <= 5; ++round) {
      g.signal_engine(SIGKILL);
      for (int i = 0; i < 20; ++i) {
        const auto at = static_cast<std::size_t>(i);
        ASSERT_TRUE(devices[at]->send(publish("t/" + std::to_string(i), "x", 1, round)));
        ASSERT_FALSE(devices[at]->until(4).empty()) << "device " << i << " round " << round;
        auto& neighbour = devices[(at + 1) % 20];
        const auto got = neighbour->until(3);
        ASSERT_FALSE(got.empty());
        neighbour->send(ack(4, got.back().id()));
      }
    }
    EXPECT_EQ(g.metric("berth_connections_accepted_total"), 20);
    EXPECT_EQ(g.metric("berth_connections"), 20);
  }
  std::filesystem::remove_all(d);
}

// A successor with a bad or expired certificate ends before anything is asked of the edge that
// works.
TEST(TlsEdge, ASuccessorProvesItsCertificatesFirst) {
  std::string name = std::filesystem::temp_directory_path() / "berth-mqtts-XXXXXX";
  const std::string directory = mkdtemp(name.data());
  Certificates certificates(directory);
  certificates.issue("server", "localhost");
  std::ofstream(directory + "/edge.yaml")
      << "mqtts:\n  listen: 127.0.0.1:0\n  cert_file: " << certificates.file("server.crt")
      << "\n  key_file: " << certificates.file("server.key")
      << "\ncluster:\n  handover: " << directory << "/handover.sock\n";
  {
    Cluster c({.engines = 1,
               .edges = 1,
               .engine_flags = {},
               .edge_flags = {"--config", directory + "/edge.yaml"}});
    TlsClient device(c.edges[0]->mqtts_port(), {.ca_file = certificates.file("ca.crt")});
    ASSERT_TRUE(device.connect_mqtt({.client_id = "tls"}));
    Signer(certificates.file("ca")).end_after(certificates.file("server"), -10);
    try {
      c.replace_edge(0);
      ADD_FAILURE() << "an expired certificate";
    } catch (const std::runtime_error& e) {
      EXPECT_NE(std::string(e.what()).find("server.crt: expired"), std::string::npos) << e.what();
    }
    EXPECT_TRUE(c.edges[0]->process().running());
    device.send(std::string("\xc0\x00", 2));
    EXPECT_FALSE(device.until(13).empty()) << "the connection has stayed";
    EXPECT_EQ(c.edges[0]->log().find("handed over"), std::string::npos);
  }
  std::filesystem::remove_all(directory);
}

// OpenSSL can't hand a connection to another process (ADR 9): when an edge is replaced, TLS ones
// end and come back, plain ones stay.
TEST(TlsEdge, IsReplacedAndOnlyTlsConnectionsEnd) {
  std::string name = std::filesystem::temp_directory_path() / "berth-mqtts-XXXXXX";
  const std::string directory = mkdtemp(name.data());
  Certificates certificates(directory);
  certificates.issue("server", "localhost");
  std::ofstream(directory + "/edge.yaml")
      << "mqtts:\n  listen: 127.0.0.1:0\n  cert_file: " << certificates.file("server.crt")
      << "\n  key_file: " << certificates.file("server.key")
      << "\ncluster:\n  handover: " << directory << "/handover.sock\n  handover_linger: true\n";
  Cluster c({.engines = 1,
             .edges = 1,
             .engine_flags = {},
             .edge_flags = {"--config", directory + "/edge.yaml", "--shards", "2"}});
  const TlsClient::Options trust{.ca_file = certificates.file("ca.crt")};
  auto plain = subscribed(c.edges[0]->mqtt_port(), {.client_id = "plain"}, "t", 1);
  std::vector<std::unique_ptr<TlsClient>> devices;
  const auto device = [&](int i) {
    devices.push_back(std::make_unique<TlsClient>(c.edges[0]->mqtts_port(), trust));
    return devices.back()->connect_mqtt({.client_id = "tls" + std::to_string(i),
                                         .clean = false,
                                         .properties = expiry(600),
                                         .will_topic = "t",
                                         .will_payload = "gone",
                                         .will_qos = 1});
  };
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(device(i));
  const int port = c.edges[0]->mqtts_port();
  std::unique_ptr<GatewayProcess> old = c.replace_edge(0);
  EXPECT_NE(c.edges[0]->log().find("took over"), std::string::npos) << c.edges[0]->log();
  EXPECT_EQ(c.edges[0]->mqtts_port(), port);
  EXPECT_TRUE(old->process().running()) << "it waits to be ended, else it would be started again";
  EXPECT_EQ(old->terminate(), 0);
  for (auto& d : devices) {
    const auto said = d->until(14);
    ASSERT_FALSE(said.empty());
    EXPECT_EQ(said.back().body.substr(0, 1), "\x8b");
  }
  devices.clear();
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(device(i)) << "the listening socket is the same";
  EXPECT_EQ(c.engine_total("berth_sessions_resumed_total{result=\"resumed\"}"), 6);
  plain->send(publish("t", "still here", 1, 2));
  const auto got = plain->until(3);
  ASSERT_FALSE(got.empty());
  EXPECT_EQ(got.back().payload(5), "still here") << "and no will came before";
  std::filesystem::remove_all(directory);
}

// Two edge processes on one host as pods of a DaemonSet have them: each has a socket of its own for
// its probes, and the new one waits while the old one closes its TLS connections, 20 a second.
class Succession : public ::testing::Test {
 protected:
  static constexpr int kDevices = 60;
  void SetUp() override {
    std::string name = std::filesystem::temp_directory_path() / "berth-mqtts-XXXXXX";
    directory_ = mkdtemp(name.data());
    certificates_ = std::make_unique<Certificates>(directory_);
    certificates_->issue("server", "localhost");
    std::ofstream(directory_ + "/edge.yaml")
        << "mqtts:\n  listen: 127.0.0.1:0\n  cert_file: " << certificates_->file("server.crt")
        << "\n  key_file: " << certificates_->file("server.key")
        << "\ncluster:\n  drain_per_s: 20\n  handover: " << directory_
        << "/handover.sock\n  handover_linger: true\nadmin:\n  socket: " << socket_of("old")
        << "\n";
    cluster_ = std::make_unique<Cluster>(
        Cluster::Options{.engines = 1,
                         .edges = 1,
                         .engine_flags = {},
                         .edge_flags = {"--config", directory_ + "/edge.yaml"}});
    plain_ = subscribed(edge().mqtt_port(), {.client_id = "plain"}, "t", 1);
    for (int i = 0; i < kDevices; ++i) {
      devices_.push_back(std::make_unique<TlsClient>(
          edge().mqtts_port(), TlsClient::Options{.ca_file = certificates_->file("ca.crt")}));
      ASSERT_TRUE(devices_.back()->connect_mqtt({.client_id = "tls" + std::to_string(i)}));
    }
  }
  void TearDown() override {
    cluster_.reset();
    std::filesystem::remove_all(directory_);
  }
  GatewayProcess& edge() { return *cluster_->edges[0]; }
  std::string socket_of(const std::string& name) const { return directory_ + "/" + name + ".sock"; }
  std::unique_ptr<Process> successor(const std::string& name) const {
    return std::make_unique<Process>(
        std::vector<std::string>{"env", "BERTH_STORE_DIRECTORY=" + directory_ + "/" + name,
                                 "BERTH_ADMIN_SOCKET=" + socket_of(name), berth_binary(), "edge",
                                 "--config", directory_ + "/edge.yaml", "--mqtt", "127.0.0.1:0",
                                 "--admin", "127.0.0.1:0", "--engines",
                                 "127.0.0.1:" + std::to_string(cluster_->engines[0]->link_port())},
        directory_ + "/log." + name);
  }
  // What the process says to a probe: its status, 0 for none.
  int probe(const std::string& name, const std::string& target, std::string* body = nullptr) const {
    gateway::admin::Ask ask;
    ask.local = true;
    ask.socket = socket_of(name);
    ask.target = target;
    try {
      const auto r = gateway::admin::http_request(ask);
      if (body != nullptr) *body = r.body;
      return r.status;
    } catch (const std::runtime_error&) {
      return 0;
    }
  }
  bool takes_over(const std::string& name) const {
    std::string body;
    return probe(name, "/startupz", &body) == 503 && body.starts_with("it is taking over");
  }
  bool ready(const std::string& name) const {
    return probe(name, "/startupz") == 200 && probe(name, "/readyz") == 200;
  }
  void expect_plain_stays() {
    plain_->send(publish("t", "here", 1, 2));
    const auto got = plain_->until(3);
    ASSERT_FALSE(got.empty());
    EXPECT_EQ(got.back().payload(5), "here");
  }
  Output ctl(const std::string& name, const std::string& arguments) const {
    return run("ctl --socket " + socket_of(name) + " " + arguments);
  }

  std::string directory_;
  std::unique_ptr<Certificates> certificates_;
  std::unique_ptr<Cluster> cluster_;
  std::unique_ptr<RawClient> plain_;
  std::vector<std::unique_ptr<TlsClient>> devices_;
};

TEST_F(Succession, ANewEdgeIsNotReadyBeforeItHasEverythingAndSigtermOfTheOldChangesNothing) {
  auto next = successor("next");
  ASSERT_TRUE(eventually([&] { return takes_over("next"); })) << next->log();
  EXPECT_EQ(probe("next", "/livez"), 200);
  EXPECT_EQ(probe("next", "/readyz"), 503);
  EXPECT_EQ(ctl("next", "started").code, 1);
  EXPECT_EQ(ctl("next", "live").code, 0);
  EXPECT_TRUE(ready("old")) << "the answers of one are not those of the other";
  edge().process().send(SIGTERM);  // in the middle of its TLS drain
  EXPECT_TRUE(takes_over("next")) << "nothing was ready when SIGTERM came";
  ASSERT_TRUE(eventually([&] { return ready("next"); })) << next->log();
  EXPECT_EQ(edge().process().wait(), 0);
  for (auto& d : devices_) {
    const auto said = d->until(14);
    ASSERT_FALSE(said.empty()) << "each TLS device is told";
    EXPECT_EQ(said.back().body.substr(0, 1), "\x8b");
  }
  expect_plain_stays();
  EXPECT_NE(edge().log().find("handed over"), std::string::npos);
  next->send(SIGTERM);
  EXPECT_EQ(next->wait(), 0) << next->log();
}

TEST_F(Succession, SigtermOfTheNewOneLeavesEverythingToTheOld) {
  auto next = successor("next");
  ASSERT_TRUE(eventually([&] { return takes_over("next"); })) << next->log();
  ASSERT_TRUE(
      eventually([&] { return edge().log().find("handover begins") != std::string::npos; }));
  next->send(SIGTERM);
  EXPECT_EQ(next->wait(), 0) << next->log();
  EXPECT_NE(next->log().find("not taken over"), std::string::npos) << next->log();
  ASSERT_TRUE(eventually([&] {
    return edge().log().find("not handed over, going on") != std::string::npos;
  })) << edge().log();
  EXPECT_TRUE(ready("old"));
  expect_plain_stays();
  TlsClient again(edge().mqtts_port(), {.ca_file = certificates_->file("ca.crt")});
  EXPECT_TRUE(again.connect_mqtt({.client_id = "again"}));

  auto third = successor("third");  // and it can still hand over
  ASSERT_TRUE(eventually([&] { return ready("third"); })) << third->log();
  expect_plain_stays();
  // What is left of the old one is alive, not ready, and has nothing to drain: as its pod needs it.
  std::string why;
  EXPECT_TRUE(eventually([&] { return probe("old", "/readyz", &why) == 503; }));
  EXPECT_NE(why.find("handed over"), std::string::npos) << why;
  EXPECT_EQ(probe("old", "/livez"), 200);
  const Output drained = ctl("old", "drain --wait --stay --json");
  EXPECT_EQ(drained.code, 0) << drained.text;
  EXPECT_TRUE(edge().process().running());
  EXPECT_EQ(edge().terminate(), 0);
  EXPECT_TRUE(ready("third"));
}

TEST_F(Succession, SigkillOfTheNewOneLeavesEverythingToTheOld) {
  auto next = successor("next");
  ASSERT_TRUE(eventually([&] { return takes_over("next"); })) << next->log();
  ASSERT_TRUE(
      eventually([&] { return edge().log().find("handover begins") != std::string::npos; }));
  next->send(SIGKILL);
  next->wait();
  ASSERT_TRUE(eventually([&] {
    return edge().log().find("not handed over, going on") != std::string::npos;
  })) << edge().log();
  EXPECT_TRUE(ready("old"));
  expect_plain_stays();
  auto third = successor("third");
  ASSERT_TRUE(eventually([&] { return ready("third"); })) << third->log();
  expect_plain_stays();
}

// Its connections are gone with it; the new one does not wait for the rest of them.
TEST_F(Succession, SigkillOfTheOldOneLetsTheNewOneServe) {
  auto next = successor("next");
  ASSERT_TRUE(eventually([&] { return takes_over("next"); })) << next->log();
  ASSERT_TRUE(
      eventually([&] { return edge().log().find("handover begins") != std::string::npos; }));
  edge().process().send(SIGKILL);
  ASSERT_TRUE(eventually([&] { return ready("next"); })) << next->log();
  const std::string log = next->log();
  const std::size_t at = log.find("] ready mqtt=127.0.0.1:");
  ASSERT_NE(at, std::string::npos) << log;
  const auto port = static_cast<std::uint16_t>(std::stoi(log.substr(at + 23)));
  RawClient again(port);
  again.send(connect({.client_id = "plain"}));
  const auto said = again.until(2);
  ASSERT_FALSE(said.empty());
  EXPECT_EQ(said.back().body.substr(1, 1), std::string(1, '\0')) << "it is let in";
}

}  // namespace
}  // namespace berth::test
