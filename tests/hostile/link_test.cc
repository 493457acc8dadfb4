// Who reaches an engine's link port and is no edge: keeps no edge out, takes no memory, writes no
// line of the log, is not let in without a certificate of the cluster with the expected name.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <optional>
#include <sstream>
#include <thread>

#include "protocol/link/questions.h"
#include "protocol/link/records.h"
#include "tests/support/certificates.h"
#include "tests/support/cluster.h"
#include "tests/support/listeners.h"
#include "tests/support/raw_client.h"
#include "tests/support/victim.h"

namespace berth::test {
namespace {

using namespace protocol::link;

int connect_to(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in a{};
  a.sin_family = AF_INET;
  a.sin_port = htons(static_cast<std::uint16_t>(port));
  a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (fd >= 0 && connect(fd, reinterpret_cast<sockaddr*>(&a), sizeof a) == 0) return fd;
  if (fd >= 0) ::close(fd);
  return -1;
}

// Keeps `count` connections open that have said `first` and nothing else; those that are closed are
// opened again, 2,500 a second at most.
class Crowd {
 public:
  Crowd(int port, std::size_t count, std::string first)
      : port_(port), first_(std::move(first)), thread_([this, count] { run(count); }) {}
  ~Crowd() {
    running_ = false;
    thread_.join();
  }
  std::uint64_t opened() const { return opened_; }

 private:
  static constexpr double kPerSecond = 2500;

  void run(std::size_t count) {
    std::vector<pollfd> fds(count, pollfd{.fd = -1, .events = POLLIN | POLLRDHUP, .revents = 0});
    const auto since = std::chrono::steady_clock::now();
    while (running_) {
      const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - since;
      const auto allowed = count + static_cast<std::uint64_t>(passed.count() * kPerSecond);
      auto budget = allowed - std::min(allowed, opened_.load());
      for (pollfd& p : fds) {
        if (p.fd >= 0 || !running_ || budget == 0) continue;
        --budget;
        p.fd = connect_to(port_);
        if (p.fd < 0) continue;
        ++opened_;
        if (!first_.empty()) (void)!::send(p.fd, first_.data(), first_.size(), MSG_NOSIGNAL);
      }
      poll(fds.data(), fds.size(), 20);
      for (pollfd& p : fds) {
        if (p.fd < 0 || p.revents == 0) continue;
        ::close(p.fd);
        p.fd = -1;
      }
    }
    for (const pollfd& p : fds) {
      if (p.fd >= 0) ::close(p.fd);
    }
  }
  int port_;
  std::string first_;
  std::atomic<bool> running_{true};
  std::atomic<std::uint64_t> opened_{0};
  std::thread thread_;
};

void raise_descriptor_limit() {
  rlimit r{};
  getrlimit(RLIMIT_NOFILE, &r);
  r.rlim_cur = std::min<rlim_t>(r.rlim_max, 4096);
  setrlimit(RLIMIT_NOFILE, &r);
}

struct Files {
  std::string ca, cert, key;
};

Files files_of(const Certificates& c, const std::string& name) {
  return {c.file("ca.crt"), c.file(name + ".crt"), c.file(name + ".key")};
}

// A configuration file with these certificates; the flag that names it.
std::vector<std::string> tls_flags(const std::string& path, const Files& f,
                                   const std::string& peer) {
  std::ofstream(path) << "cluster:\n  ca_file: " << f.ca << "\n  cert_file: " << f.cert
                      << "\n  key_file: " << f.key << "\n  peer_name: " << peer << "\n";
  return {"--config", path};
}

std::string frame_of(FrameType type, const std::string& payload) {
  std::string frame;
  const std::size_t at = begin_frame(frame, type);
  frame.append(payload);
  end_frame(frame, at);
  return frame;
}

std::string hello_frame(const std::string& name, std::uint64_t partitions = 1) {
  Hello h;
  h.edge_id = 4711;
  h.output_cap = 1 << 20;
  h.heartbeat_ms = 250;
  h.generation = 1;
  h.remote = true;
  h.name = name;
  h.partitions = partitions;
  std::string payload;
  put_hello(payload, h);
  return frame_of(FrameType::hello, payload);
}

// A TLS 1.3 client's first flight, cut short.
std::string half_a_client_hello() {
  std::string out("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11);
  return out + std::string(200, 'x');
}

class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(std::filesystem::temp_directory_path() / "berth-link-XXXXXX") {
    if (mkdtemp(path_.data()) == nullptr) std::abort();
  }
  ~TemporaryDirectory() { std::filesystem::remove_all(path_); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

class HostileLink : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { raise_descriptor_limit(); }
  HostileLink() : certificates_(directory_.path()) {
    certificates_.issue("engine", "berth-engine");
    certificates_.issue("edge", "berth-edge");
    certificates_.issue("device", "some-device");
  }
  std::vector<std::string> engine_flags() {
    return tls_flags(directory_.path() + "/engine.yaml", files_of(certificates_, "engine"),
                     "berth-edge");
  }
  std::vector<std::string> edge_flags(const std::string& cert = "edge") {
    return tls_flags(directory_.path() + "/edge-" + cert + ".yaml", files_of(certificates_, cert),
                     "berth-engine");
  }
  void crowd_keeps_no_edge_out(bool tls);

  TemporaryDirectory directory_;
  Certificates certificates_;
};

// The program alone: exit code and what it said.
std::pair<int, std::string> outcome(std::vector<std::string> argv, const std::string& directory) {
  argv.insert(argv.begin(), berth_binary());
  argv.insert(argv.end(), {"--admin", "127.0.0.1:0"});
  Process p(argv, directory + "/outcome.log");
  const int code = p.wait(std::chrono::seconds(20));
  return {code, p.log()};
}

TEST_F(HostileLink, WithoutTlsNothingIsServedOrAskedBeyondLoopback) {
  const std::string d = directory_.path();
  const auto engine = outcome({"engine", "--links", "0.0.0.0:0", "--data", d + "/data"}, d);
  EXPECT_EQ(engine.first, 78) << engine.second;
  EXPECT_NE(engine.second.find("cluster.insecure"), std::string::npos) << engine.second;
  const auto edge = outcome({"edge", "--engines", "10.255.255.1:7883", "--mqtt", "127.0.0.1:0"}, d);
  EXPECT_EQ(edge.first, 78) << edge.second;
  EXPECT_NE(edge.second.find("cluster.ca_file"), std::string::npos) << edge.second;
  auto unnamed = tls_flags(d + "/unnamed.yaml", files_of(certificates_, "engine"), "\"\"");
  unnamed.insert(unnamed.begin(), {"engine", "--data", d + "/data"});
  const auto nameless = outcome(unnamed, d);
  EXPECT_EQ(nameless.first, 78);
  EXPECT_NE(nameless.second.find("cluster.peer_name"), std::string::npos) << nameless.second;
}

void HostileLink::crowd_keeps_no_edge_out(bool tls) {
  Cluster c({.engines = 1,
             .edges = 1,
             .engine_flags = tls ? engine_flags() : std::vector<std::string>{},
             .edge_flags = tls ? edge_flags() : std::vector<std::string>{}});
  ASSERT_NE(c.active(), nullptr);
  GatewayProcess& engine = *c.engines[0];
  const std::uint64_t before = resident_peak_bytes(engine.process().pid());
  Victim victim({.port = c.edges[0]->mqtt_port()});
  {
    Crowd crowd(engine.link_port(), 1400, tls ? half_a_client_hello() : "");
    ASSERT_TRUE(eventually([&] { return crowd.opened() >= 1400; }));
    EXPECT_TRUE(eventually(
        [&] { return engine.metric("berth_link_refused_total{reason=\"full\"}") > 100; }));
    auto old = c.replace_edge(0);  // a new edge finds its engine, or does not start
    EXPECT_TRUE(eventually([&] { return c.edges[0]->metric("berth_engine_up") == 1; }));
    auto device = connected(c.edges[0]->mqtt_port(), {.client_id = "newcomer"});
    const std::uint64_t rounds = victim.rounds();
    EXPECT_TRUE(eventually([&] { return victim.rounds() > rounds + 100; }));
    EXPECT_LE(engine.metric("berth_links_waiting"), 512);
    const VictimReport r = victim.stop();
    EXPECT_EQ(r.closed, 0u) << r.text();
    EXPECT_EQ(r.received, r.sent) << r.text();
    EXPECT_LT(r.p99_ms, 500) << r.text();  // 2,500 connects a second, and room for a busy machine
  }
  const std::uint64_t after = resident_peak_bytes(engine.process().pid());
  EXPECT_LT(after, before + (48u << 20)) << "512 that wait";
  EXPECT_TRUE(eventually([&] { return engine.metric("berth_links_waiting") == 0; }));
}

TEST_F(HostileLink, AThousandSilentConnectionsKeepNoEdgeOut) {
  crowd_keeps_no_edge_out(false);
}

TEST_F(HostileLink, AThousandHalfHandshakesKeepNoEdgeOut) {
  crowd_keeps_no_edge_out(true);
}

// A frame before the hello is bounded: its length is refused before its bytes are taken.
TEST_F(HostileLink, WhatComesBeforeTheHelloTakesNoMemory) {
  Cluster c({.engines = 1, .edges = 1});
  ASSERT_NE(c.active(), nullptr);
  GatewayProcess& engine = *c.engines[0];
  const std::uint64_t before = resident_peak_bytes(engine.process().pid());
  for (const std::uint32_t length : {std::uint32_t{4096}, 1u << 20, 1u << 29, 0xffffffffu, 0u}) {
    const int fd = connect_to(engine.link_port());
    ASSERT_GE(fd, 0);
    std::string bytes;
    for (unsigned i = 0; i < 4; ++i) bytes.push_back(static_cast<char>(length >> (8 * i)));
    bytes.append(1u << 20, '\x01');
    std::size_t sent = 0;
    const timeval limit{.tv_sec = 20, .tv_usec = 0};
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    for (int i = 0; i < 64; ++i) {  // 64 MB, if it takes them
      const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n < 0) break;
      sent += static_cast<std::size_t>(n);
      bytes.assign(1u << 20, '\x01');
    }
    EXPECT_LT(sent, 32u << 20) << length;
    ::close(fd);
  }
  EXPECT_TRUE(eventually([&] {
    return engine.metric("berth_link_refused_total{reason=\"malformed\"}") >= 4;
  })) << engine.get("/metrics");
  EXPECT_LT(resident_peak_bytes(engine.process().pid()), before + (16u << 20));
}

// Who is silent has three seconds.
TEST_F(HostileLink, ASilentConnectionIsClosed) {
  Cluster c({.engines = 1, .edges = 1});
  ASSERT_NE(c.active(), nullptr);
  const int fd = connect_to(c.engines[0]->link_port());
  ASSERT_GE(fd, 0);
  pollfd p{.fd = fd, .events = POLLIN, .revents = 0};
  EXPECT_EQ(poll(&p, 1, 20'000), 1);
  ::close(fd);
  EXPECT_EQ(c.engines[0]->metric("berth_link_refused_total{reason=\"silent\"}"), 1);
}

// A name is not believed to be one word of a line.
TEST_F(HostileLink, ANameWritesNoLineOfTheLog) {
  Cluster c({.engines = 1, .edges = 1});
  ASSERT_NE(c.active(), nullptr);
  const std::string forged = "2026-01-01T00:00:00.000Z critical [engine 1] forged";
  std::vector<int> fds;
  for (const std::uint64_t partitions : {1, 7}) {  // one is linked, one refused
    fds.push_back(connect_to(c.engines[0]->link_port()));
    const std::string hello =
        hello_frame("x\" level=err\n" + forged + "\r\x1b[31m" + std::string(2000, 'y'), partitions);
    ASSERT_EQ(::send(fds.back(), hello.data(), hello.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(hello.size()));
  }
  EXPECT_TRUE(eventually([&] {
    const std::string log = c.engines[0]->log();
    return log.find("edge linked edge=\"x\\\" level=err\\n2026") != std::string::npos &&
           log.find("edge refused name=\"x\\\" level=err\\n2026") != std::string::npos;
  })) << c.engines[0]->log();
  std::istringstream lines(c.engines[0]->log());
  for (std::string line; std::getline(lines, line);) {
    EXPECT_FALSE(line.starts_with(forged));
    EXPECT_LT(line.size(), 1000u);
    EXPECT_EQ(line.find('\x1b'), std::string::npos);
  }
  for (const int fd : fds) ::close(fd);
}

// -- questions of an edge (docs/design.md, "Questions")

// Says what an edge says, and hears frames.
class RawEdge {
 public:
  explicit RawEdge(int port) : fd_(connect_to(port)) {
    say(hello_frame("asks"));
    if (!await(FrameType::ready)) return;
    std::string turn;
    put_attached_all(turn);
    say(frame_of(FrameType::turn, turn));
    const auto end = Clock::now() + std::chrono::seconds(20);  // until its inputs may run
    while (ask(AskKind::echo, "now?") == AskError::not_serving && Clock::now() < end) {
    }
  }
  ~RawEdge() { ::close(fd_); }
  RawEdge(const RawEdge&) = delete;
  RawEdge& operator=(const RawEdge&) = delete;

  void say(std::string_view bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (n <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
  }
  // The answer's error; its bytes are in `said`. Empty: there was none.
  std::optional<AskError> ask(AskKind kind, const std::string& bytes) {
    std::string payload;
    put_ask(payload, ++asked_, {kind, 20'000, bytes});
    say(frame_of(FrameType::ask, payload));
    while (await(FrameType::answer)) {
      std::uint64_t number = 0;
      AskError error{};
      std::string_view text;
      if (!get_answer(payload_, number, error, text)) return {};
      said = text;
      if (number == asked_) return error;
    }
    return {};
  }
  bool ended() { return !await(FrameType::answer); }
  std::string said;

 private:
  // False: the stream has ended, or 20 s have passed.
  bool await(FrameType type) {
    const auto end = Clock::now() + std::chrono::seconds(20);
    for (;;) {
      FrameView f;
      while (next_frame(in_, f) == FrameResult::complete) {
        payload_ = f.payload;
        const bool found = f.type == type;
        in_.erase(0, f.size);
        if (found) return true;
      }
      const auto left =
          std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
      pollfd p{.fd = fd_, .events = POLLIN, .revents = 0};
      char some[65536];
      if (left <= 0 || poll(&p, 1, static_cast<int>(left)) <= 0) return false;
      const ssize_t n = ::recv(fd_, some, sizeof some, 0);
      if (n <= 0) return false;
      in_.append(some, static_cast<std::size_t>(n));
    }
  }
  int fd_;
  std::uint64_t asked_ = 0;
  std::string in_, payload_;
};

TEST_F(HostileLink, AnEngineAnswersQuestionsWithinTheirLimits) {
  Cluster c({.engines = 1, .edges = 1});
  ASSERT_NE(c.active(), nullptr);
  const int port = c.engines[0]->link_port();
  {
    RawEdge edge(port);
    EXPECT_EQ(edge.ask(AskKind::echo, "well?"), AskError::none);
    EXPECT_EQ(edge.said, "well?");
    EXPECT_EQ(edge.ask(AskKind::echo, std::string(kQuestionMax, 'x')), AskError::none);
    EXPECT_EQ(edge.said.size(), kQuestionMax);
    EXPECT_EQ(edge.ask(AskKind::echo, std::string(kQuestionMax + 1, 'x')), AskError::too_large);
    EXPECT_EQ(edge.ask(static_cast<AskKind>(250), "x"), AskError::unknown_kind);
    edge.say(frame_of(FrameType::ask, "\xff\xff"));
    EXPECT_TRUE(edge.ended());
  }
  const auto device = connected(c.edges[0]->mqtt_port(), {.client_id = "device"});
  EXPECT_TRUE(device->connected());
}

// -- certificates

TEST_F(HostileLink, ForeignCertificatesAreRefusedAndBothSidesSayWhy) {
  Cluster c({.engines = 1, .edges = 1, .engine_flags = engine_flags(), .edge_flags = edge_flags()});
  ASSERT_NE(c.active(), nullptr);
  GatewayProcess& engine = *c.engines[0];
  const std::string at = "127.0.0.1:" + std::to_string(engine.link_port());
  const std::string other = directory_.path() + "/other";
  std::filesystem::create_directory(other);
  Certificates foreign(other);
  foreign.issue("edge", "berth-edge");
  const auto stranger = [&](const std::vector<std::string>& flags, const std::string& engine_says,
                            const std::string& edge_says) {
    std::vector<std::string> argv{berth_binary(), "edge"};
    argv.insert(argv.end(), flags.begin(), flags.end());
    argv.insert(argv.end(), {"--engines", at, "--mqtt", "127.0.0.1:0", "--admin", "127.0.0.1:0"});
    Process p(argv, directory_.path() + "/stranger.log");
    EXPECT_TRUE(eventually([&] { return engine.log().find(engine_says) != std::string::npos; }))
        << engine_says << "\n"
        << engine.log();
    EXPECT_TRUE(eventually([&] { return p.log().find(edge_says) != std::string::npos; }))
        << edge_says << "\n"
        << p.log();
    EXPECT_EQ(p.log().find("linked engine"), std::string::npos);
  };
  // Of the cluster's authority, for another name.
  stranger(edge_flags("device"), "hostname mismatch subject=/CN=device",
           "link failed engine=" + at);
  // Of another authority, which takes the cluster's for good.
  stranger(
      tls_flags(other + "/edge.yaml",
                {certificates_.file("ca.crt"), foreign.file("edge.crt"), foreign.file("edge.key")},
                "berth-engine"),
      "subject=/CN=edge", "alert");
  // Of the cluster, but the engine is none of those it looks for.
  stranger(tls_flags(other + "/named.yaml", files_of(certificates_, "edge"), "berth-other"),
           "link refused peer=127.0.0.1:", "hostname mismatch subject=/CN=engine");
  // No TLS at all.
  stranger({}, "link refused peer=127.0.0.1:", "link failed engine=" + at);
  EXPECT_GE(engine.metric("berth_link_refused_total{reason=\"tls\"}"), 3);
  EXPECT_EQ(engine.metric("berth_edges{state=\"linked\"}"), 1);
}

// A new authority comes while everything runs: as a mounted secret is replaced.
TEST_F(HostileLink, CertificatesAreReadAgainAndBadOnesTakeNoEffect) {
  namespace fs = std::filesystem;
  const std::string d = directory_.path();
  fs::create_directory(d + "/other");
  Certificates next(d + "/other");
  next.issue("engine", "berth-engine");
  next.issue("edge", "berth-edge");
  for (const char* name : {"ca.crt", "edge.crt", "edge.key"})
    fs::copy(certificates_.file(name), d + "/mounted-" + name);
  const Files mounted{d + "/mounted-ca.crt", d + "/mounted-edge.crt", d + "/mounted-edge.key"};
  const Files of_next = files_of(next, "engine");
  Cluster c({.engines = 0,
             .edges = 0,
             .engine_flags = tls_flags(d + "/next.yaml", of_next, "berth-edge"),
             .edge_flags = {},
             .engines_later = 1});
  GatewayProcess& engine = c.add_engine();  // trusts the next authority only
  std::vector<std::string> flags = tls_flags(d + "/mounted.yaml", mounted, "berth-engine");
  flags.insert(flags.begin(), {berth_binary(), "edge", "--engines",
                               "127.0.0.1:" + std::to_string(engine.link_port()), "--mqtt",
                               "127.0.0.1:0", "--admin", "127.0.0.1:0"});
  Process edge(flags, d + "/edge.log");
  const auto says = [&](const std::string& text) {
    return eventually([&] { return edge.log().find(text) != std::string::npos; });
  };
  EXPECT_TRUE(says("TLS: certificate verify failed")) << edge.log();
  std::ofstream(mounted.cert) << "-----BEGIN CERTIFICATE-----\nnone\n";
  EXPECT_TRUE(says("certificates of links stay as they were error=")) << edge.log();
  EXPECT_TRUE(edge.running());
  fs::copy_file(next.file("ca.crt"), mounted.ca, fs::copy_options::overwrite_existing);
  fs::copy_file(next.file("edge.key"), mounted.key, fs::copy_options::overwrite_existing);
  fs::copy_file(next.file("edge.crt"), mounted.cert, fs::copy_options::overwrite_existing);
  EXPECT_TRUE(says("certificates of links read again")) << edge.log();
  EXPECT_TRUE(says("linked engine=")) << edge.log();
  EXPECT_GT(engine.metric("berth_certificate_expiry_timestamp_seconds{name=\"link\"}"),
            static_cast<double>(std::time(nullptr)));
}

// An engine whose files are bad does not end: it is not ready, says why and mends itself.
TEST_F(HostileLink, AnEngineWithBadCertificatesWaitsForGoodOnes) {
  namespace fs = std::filesystem;
  const std::string d = directory_.path();
  const Files mounted{certificates_.file("ca.crt"), d + "/late.crt", d + "/late.key"};
  Cluster c({.engines = 0,
             .edges = 0,
             .engine_flags = tls_flags(d + "/late.yaml", mounted, "berth-edge"),
             .edge_flags = edge_flags(),
             .engines_later = 1});
  GatewayProcess& engine = c.add_engine();
  EXPECT_NE(engine.log().find("certificates of links are bad error="), std::string::npos);
  int status = 0;
  EXPECT_NE(engine.get("/readyz", &status).find("late.crt"), std::string::npos);
  EXPECT_EQ(status, 503);
  fs::copy(certificates_.file("engine.key"), mounted.key);
  fs::copy(certificates_.file("engine.crt"), mounted.cert);
  EXPECT_TRUE(eventually([&] {
    engine.get("/readyz", &status);
    return status == 200;
  })) << engine.log();
}

// An engine that has had good certificates comes up with the last of them, and says so; but not
// with those that have ended.
TEST_F(HostileLink, AnEngineGoesOnWithItsLastGoodCertificates) {
  namespace fs = std::filesystem;
  const std::string d = directory_.path();
  const Files mounted{certificates_.file("ca.crt"), d + "/kept.crt", d + "/kept.key"};
  fs::copy(certificates_.file("engine.crt"), mounted.cert);
  fs::copy(certificates_.file("engine.key"), mounted.key);
  Cluster c({.engines = 1,
             .edges = 1,
             .engine_flags = tls_flags(d + "/kept.yaml", mounted, "berth-edge"),
             .edge_flags = edge_flags()});
  ASSERT_NE(c.active(), nullptr);
  GatewayProcess& engine = *c.engines[0];
  EXPECT_EQ(engine.metric("berth_degraded{part=\"link_certificates\"}"), 0);
  engine.kill9();
  std::ofstream(mounted.key) << "none\n";
  engine.start();
  ASSERT_NE(c.active(), nullptr) << engine.log();
  int status = 0;
  const std::string body = engine.get("/readyz", &status);
  EXPECT_NE(body.find("degraded: link_certificates: "), std::string::npos) << body;
  EXPECT_NE(body.find("kept.key"), std::string::npos) << body;
  EXPECT_EQ(status, 200);
  EXPECT_EQ(engine.metric("berth_degraded{part=\"link_certificates\"}"), 1);
  const std::string copy = engine.directory() + "/data/last-good/link-key";
  EXPECT_EQ(fs::status(copy).permissions(), fs::perms(0600));
  fs::copy_file(certificates_.file("engine.key"), mounted.key,
                fs::copy_options::overwrite_existing);
  EXPECT_TRUE(
      eventually([&] { return engine.metric("berth_degraded{part=\"link_certificates\"}") == 0; }));
}

// A rolling deploy must stop at an engine that no edge can link to, and says what is missing.
TEST_F(HostileLink, AStandbyIsReadyWhenTheEdgesOfTheOneThatServesAreLinkedToIt) {
  namespace fs = std::filesystem;
  const std::string d = directory_.path();
  fs::create_directory(d + "/other");
  Certificates foreign(d + "/other");
  foreign.issue("engine", "berth-engine");
  Cluster c({.engines = 1,
             .edges = 2,
             .engine_flags = engine_flags(),
             .edge_flags = edge_flags(),
             .engines_later = 1});
  ASSERT_NE(c.active(), nullptr);
  const Files mounted{certificates_.file("ca.crt"), d + "/late.crt", d + "/late.key"};
  fs::copy(foreign.file("engine.crt"), mounted.cert);
  fs::copy(foreign.file("engine.key"), mounted.key);
  tls_flags(d + "/engine.yaml", mounted, "berth-edge");  // the next engine's
  GatewayProcess& next = c.add_engine();
  int status = 0;
  std::string body;
  EXPECT_TRUE(eventually([&] {
    body = next.get("/readyz", &status);
    return body.find("not linked to edge ") != std::string::npos;
  })) << body;
  EXPECT_NE(body.find("/0, edge "), std::string::npos) << "both: " << body;
  EXPECT_EQ(next.metric("berth_edges_missing"), 2);
  EXPECT_EQ(c.edges[0]->metric("berth_standby_engines"), 0);
  EXPECT_FALSE(eventually(
      [&] {
        next.get("/readyz", &status);
        return status == 200;
      },
      std::chrono::seconds(8)));
  fs::copy_file(certificates_.file("engine.key"), mounted.key,
                fs::copy_options::overwrite_existing);
  fs::copy_file(certificates_.file("engine.crt"), mounted.cert,
                fs::copy_options::overwrite_existing);
  EXPECT_TRUE(eventually([&] {
    next.get("/readyz", &status);
    return status == 200;
  })) << next.log();
  EXPECT_EQ(c.edges[0]->metric("berth_standby_engines"), 1);
}

}  // namespace
}  // namespace berth::test
