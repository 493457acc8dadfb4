// The names in topics of commands and reports, as devices of both protocols have them. Plain
// functions; any thread.
//
//   command := "v1/" site "/" device "/" ["sub/" child "/"] "cmd/" id "/req/" name
//   report  := "v1/" ["sub/" child "/"] (("event/"|"telemetry/") type | "state" | "cmd/" id "/res")
//
// A command is called so by a service. That of a client that is not registered has "_" as its site
// and the client id as its device.
#pragma once

#include <string_view>

namespace berth::session {

inline constexpr const char* kRetainedCommand =
    "a command is not retained: each later subscription would deliver it again";

struct CommandTopic {
  std::string_view child, id, name;
  bool desired = false;  // "desired" stands instead of cmd/…
};
// What stands behind "v1/SITE/DEVICE/". False: it is neither a command nor desired state.
bool parse_command_topic(std::string_view topic, CommandTopic& out);

// Asked for each PUBLISH of a client that is not registered, so cheap. False: unanswerable() need
// not be asked.
inline bool may_be_command(std::string_view topic) {
  constexpr std::string_view kNobodys = "v1/_/";
  if (!topic.starts_with(kNobodys)) return false;
  const std::size_t at = topic.find('/', kNobodys.size());
  if (at == std::string_view::npos || at + 5 > topic.size()) return false;
  return topic[at + 4] == '/' && (topic[at + 1] == 'c' || topic[at + 1] == 's');
}

// A command that its device could do and never answer: a RESULT names its id and its child, which
// have to be names of the Park protocol (park::is_name).
struct Unanswerable {
  const char* why = nullptr;  // a literal; null: it can be answered, or is no command
  std::string_view device;
};
// `retained`: each later subscription would deliver it again.
Unanswerable unanswerable(std::string_view topic, bool retained = false);

// Of what a service publishes: v1/SITE/DEVICE/ and then what a device takes for a command, for its
// desired state, or for one of those of a child. Devices look at the first levels only: what comes
// behind does not matter.
bool is_devices_downlink(std::string_view topic);
// The same without desired state: v1/SITE/DEVICE/[sub/CHILD/]cmd/…
bool is_devices_command(std::string_view topic);

// As the device calls them: v1/[sub/CHILD/]cmd/… but its results, and v1/[sub/CHILD/]desired/…
bool is_own_command(std::string_view topic);
bool is_own_desired(std::string_view topic);

// v1/SITE/DEVICE/[sub/CHILD/]cmd/ID/req/NAME
bool is_device_request(std::string_view topic);
std::string_view device_of_request(std::string_view topic);  // of such a topic, or a command's

// A topic as its device calls it that its platform gets as a report.
bool is_report_topic(std::string_view topic);

}  // namespace berth::session
