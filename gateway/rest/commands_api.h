// Commands to devices over REST: POST and GET /api/v1/commands (docs/platform.md, "Commands"). Asks
// the engine of the device's home partition (platform/command_questions.h), whichever process is
// asked. On the home loop of the admin port.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "gateway/admin/http_server.h"
#include "gateway/link/asker.h"
#include "gateway/rest/cursors.h"
#include "gateway/tracing/tracer.h"
#include "platform/platform.pb.h"

namespace berth::gateway::rest {

class CommandsApi {
 public:
  struct Options {
    std::uint32_t partitions = 1;
    // The wall clock, ms since 1970, for `expires_at`; of tests.
    std::function<std::int64_t()> wall_ms = unix_ms;
    tracing::Tracer* tracer = nullptr;  // null: no request makes a span
  };
  static std::int64_t unix_ms();
  // Both outlive it; `asker` on its edge shard's thread.
  CommandsApi(const link::Asker& asker, Cursors& cursors, Options options)
      : asker_(asker), cursors_(cursors), options_(std::move(options)) {}
  void add_to(admin::HttpServer& http);

 private:
  using Record = platform::pb::CommandRecord;
  using Submit = platform::pb::SubmitQuestion;
  void submit(admin::Request r, const admin::Responder& done);
  // Decides whether the request's trace is sampled, before its traceparent goes with the command.
  // What answers it then.
  admin::Responder traced(admin::Request& r, const Record& record, const admin::Responder& done);
  void begin(Submit submit, const admin::Responder& done);
  void claim(Submit submit, const admin::Responder& done);
  void locate(Submit submit, const admin::Responder& done);
  void send(const Submit& submit, const admin::Responder& done);
  void get(const admin::Request& r, const admin::Responder& done);
  void cancel(const admin::Request& r, const admin::Responder& done);
  void close_case(const admin::Request& r, const admin::Responder& done);
  void list(const admin::Request& r, const admin::Responder& done);
  void page(platform::pb::ListQuestion q, const std::string& cursor,
            const admin::Responder& done) const;
  void desired(const admin::Request& r, const admin::Responder& done);
  // The command that the path names; nothing: `done` has been answered.
  std::optional<platform::pb::CommandKey> key_of(const admin::Request& r, admin::Right right,
                                                 const admin::Responder& done) const;
  // The same question to all partitions; the one that knows the command answers.
  void ask_all(protocol::link::Question q, const admin::Responder& done) const;
  void ask_by_id(protocol::link::AskKind kind, const admin::Request& r, std::uint32_t wait_ms,
                 const admin::Responder& done);

  const link::Asker& asker_;
  Cursors& cursors_;
  Options options_;
};

}  // namespace berth::gateway::rest
