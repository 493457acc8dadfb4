// What is measured: by name, with its shape. `berth bench list` prints those with a name of their
// own; in the others' names numbers can be changed (p2p-200-200-200-5K).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace berth::bench {

enum class Kind : std::uint8_t { traffic, connections, churn, storm };
enum class Pattern : std::uint8_t { p2p, fanin, fanout, sharedsub };
// What happens to the server meanwhile: its engine killed, its engine replaced, all of it killed.
enum class Trouble : std::uint8_t { none, kill_engine, rolling, kill_all };

struct Scenario {
  std::string name;
  std::string what;  // a line for people
  Kind kind = Kind::traffic;
  Pattern pattern = Pattern::p2p;
  Trouble trouble = Trouble::none;
  double trouble_every_s = 10;
  std::uint32_t publishers = 0;
  std::uint32_t subscribers = 0;  // of connections: all of them
  std::uint32_t topics = 0;
  double rate = 0;  // messages published a second, or connects; 0: as fast as it goes
  int qos = 1;
  std::uint32_t payload = 16;
  std::uint16_t keep_alive_s = 300;
  double seconds = 600;
  bool durable = false;  // persistent sessions
  bool tls = false;
  bool offline = false;    // subscribers are away while it is published
  bool reports = false;    // devices publish Envelopes in place of plain messages; no subscribers
  bool subscribes = true;  // of connections: to a topic of its own

  bool quiet() const { return kind != Kind::traffic; }  // publishes nothing
  // How many subscribers a message goes to.
  std::uint32_t copies() const { return pattern == Pattern::fanout ? subscribers : 1; }
};

// Throws std::runtime_error, with what is wrong.
Scenario scenario_of(const std::string& name);
std::vector<Scenario> named_scenarios();

// Where publisher `p` publishes, and what subscriber `s` subscribes to; all below `root`.
std::string topic_of(const Scenario& s, const std::string& root, std::uint32_t publisher);
std::string filter_of(const Scenario& s, const std::string& root, std::uint32_t subscriber);
// Whether messages of publisher `p` go to subscriber `s` (of a group: to its first one).
bool is_for(const Scenario& s, std::uint32_t publisher, std::uint32_t subscriber);

}  // namespace berth::bench
