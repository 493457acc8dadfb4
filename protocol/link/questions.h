// Questions of an edge to an engine and their answers (frames since version 5 of the link).
//
//   ask    := number kind:u8 limit_ms bytes*    edge -> engine; number: of the edge and link
//   answer := number error:u8 bytes*            engine -> edge
//
// Numbers are varints; the bytes are the rest of the frame, and the kind defines them. A frame is
// no part of a turn: an answer may reach the edge before steps that the engine has made earlier.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace berth::protocol::link {

inline constexpr std::size_t kQuestionMax = 64 * 1024;  // bytes
inline constexpr std::size_t kAnswerMax = 1024 * 1024;
// Of a link that wait for their answer: more than requests of the admin port may wait (512), for
// some ask several things.
inline constexpr std::size_t kQuestionsMax = 1024;

// Numbers are on the link: append only.
enum class AskKind : std::uint8_t {
  echo = 1,           // answered with the same bytes
  read_registry = 2,  // no bytes; answered when what was written before the question is in force
  // Bytes as platform/platform.proto has them.
  submit_command = 16,
  find_command = 17,
  cancel_command = 18,
  list_commands = 19,
  locate_device = 20,
  desired_state = 21,
  list_desired = 32,
  sessions = 33,   // JSON: gateway/engine/session_questions.h
  trace = 34,      // JSON: gateway/engine/packet_traces.h
  log_level = 35,  // JSON: gateway/engine/log_level_question.h
  partition = 36,  // JSON: gateway/cluster/partition_questions.h
  backup = 37,     // JSON: gateway/node/backups.h
  uplinks = 38,    // JSON: gateway/uplink/uplink_service.h
  board = 39,      // platform/board.proto
  close_command = 40,
  departures = 41,  // platform/departures.proto
  config = 42,      // JSON: gateway/node/config_api.h
  // Of platform/passages.proto.
  tell_passage = 43,
  passages = 44,
  late_commands = 45,
  watch_reports = 46,  // platform/reports.proto
  end_session = 47,    // platform/sessions.proto
  ended_sessions = 48,
  claim_command = 22,
  presence = 24,      // platform/presence.proto
  history = 25,       // platform/history.proto
  list_devices = 26,  // of the registry: platform/presence.proto
  insights = 27,      // platform/insights.proto
  events = 28,        // platform/history.proto
  take_nonce = 31,    // of a signed request: NonceQuestion of platform/platform.proto
  cursor_key = 30,    // no bytes; answered with 32: gateway/rest/cursors.h
  check_account = 29  // the credential of a request over HTTP: gateway/rest/account_ask.h
};

enum class AskError : std::uint8_t {
  none = 0,
  unknown_kind = 1,  // the engine does not know such questions
  too_large = 2,     // the question, or its answer
  too_many = 3,      // as many as may wait do
  too_late = 4,      // no answer within the time limit
  not_serving = 5,   // no engine serves the partition
  link_lost = 6,     // the engine may or may not have done what was asked
  old_engine = 7,    // of a release before version 5
  failed = 8         // the engine has tried; `bytes` say what is wrong, for people
};
const char* name_of(AskError error);

struct Question {
  AskKind kind{};
  std::uint32_t limit_ms = 0;  // after that nobody waits for the answer
  std::string bytes;
};

void put_ask(std::string& out, std::uint64_t number, const Question& q);
bool get_ask(std::string_view in, std::uint64_t& number, Question& q);
void put_answer(std::string& out, std::uint64_t number, AskError error, std::string_view bytes);
bool get_answer(std::string_view in, std::uint64_t& number, AskError& error,
                std::string_view& bytes);

}  // namespace berth::protocol::link
