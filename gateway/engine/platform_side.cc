#include "gateway/engine/platform_side.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "gateway/engine/board_question.h"
#include "gateway/engine/device_list.h"
#include "platform/history.pb.h"
#include "platform/platform.pb.h"

namespace berth::gateway::engine {

using protocol::link::AskError;
using protocol::link::AskKind;
using protocol::link::Question;

PlatformSide::PlatformSide(boost::asio::io_context& io, session::Broker& broker, Answerer& answerer,
                           const registry::Registry* registry, Calls calls,
                           platform::PlatformOptions options)
    : calls_(std::move(calls)),
      platform_(broker.context(), broker.core(), calls_.read, options),
      due_(io) {
  if (registry != nullptr) {
    const bool partitioned = broker.context().options.partitions > 1;
    names_.emplace(*registry);
    ways_ = std::make_unique<CommandWays>(
        *registry, [this, partitioned](std::string_view tenant, std::string_view device) {
          const platform::DeviceWatch& devices = platform_.devices();
          return CommandWays::Firmware{std::string(devices.firmware_of(tenant, device)),
                                       !partitioned || devices.is_here(tenant, device)};
        });
    platform_.use(*ways_);
  }
  answer(answerer);
  answer_about_devices(answerer, registry);
}

void PlatformSide::end_turn() {
  platform_.end_turn(calls_.now());
  arm();
}

// Deadlines of commands come between ticks.
void PlatformSide::arm() {
  const base::Instant due = platform_.next_due();
  if (due >= armed_) return;
  armed_ = due;
  due_.expires_after(
      std::chrono::milliseconds(std::max<std::int64_t>(due.ms - calls_.now().ms, 0)));
  due_.async_wait([this, alive = std::weak_ptr<bool>(alive_)](boost::system::error_code ec) {
    if (ec || alive.expired()) return;
    armed_ = base::kNever;
    calls_.turn_end();
  });
}

// The engine answers while its inputs run, so after attached_all().
void PlatformSide::answer(Answerer& answerer) {
  using platform::CommandQuestions;
  CommandQuestions& commands = platform_.commands().questions();
  using Ask = void (CommandQuestions::*)(std::string_view, CommandQuestions::Answered);
  using WithNames = std::string (DeviceNames::*)(std::string) const;
  const auto use = [&](AskKind kind, Ask ask, WithNames with_names) {
    answerer.use(
        kind, [this, &commands, ask, with_names](const Question& q, link::Answered answered) {
          platform_.begin(calls_.now());
          (commands.*ask)(q.bytes,
                          [this, with_names, answered = std::move(answered)](std::string bytes) {
                            if (names_) bytes = ((*names_).*with_names)(std::move(bytes));
                            answered({AskError::none, std::move(bytes)});
                          });
          calls_.post_turn();
        });
  };
  use(AskKind::submit_command, &CommandQuestions::submit, &DeviceNames::in_command);
  use(AskKind::claim_command, &CommandQuestions::claim, &DeviceNames::in_command);
  use(AskKind::find_command, &CommandQuestions::find, &DeviceNames::in_command);
  use(AskKind::cancel_command, &CommandQuestions::cancel, &DeviceNames::in_command);
  use(AskKind::close_command, &CommandQuestions::close_case, &DeviceNames::in_command);
  use(AskKind::list_commands, &CommandQuestions::list, &DeviceNames::in_list);
  answerer.use(AskKind::take_nonce, [this](const Question& q, link::Answered answered) {
    platform_.begin(calls_.now());
    platform_.signed_requests().ask(q.bytes, [answered = std::move(answered)](std::string bytes) {
      answered({AskError::none, std::move(bytes)});
    });
    calls_.post_turn();
  });
  answerer.use(AskKind::desired_state, [&commands](const Question& q, const link::Answered& a) {
    a({AskError::none, commands.desired(q.bytes)});
  });
  answerer.use(AskKind::list_desired, [this](const Question& q, const link::Answered& a) {
    a({AskError::none, list_desired(q.bytes)});
  });
  answerer.use(AskKind::locate_device, [&commands](const Question& q, const link::Answered& a) {
    a({AskError::none, commands.locate(q.bytes)});
  });
}

// An engine without a registry takes no filter by product or name.
std::string PlatformSide::list_desired(std::string_view question) {
  platform::pb::DesiredQuestion q;
  (void)q.ParseFromArray(question.data(), static_cast<int>(question.size()));
  const platform::Desired& desired = platform_.commands().desired_states();
  if (!names_) return desired.list(question, [](const std::string&) { return true; });
  const auto wanted = [this, &q](const std::string& device) {
    return (q.product().empty() || names_->product(q.tenant(), device) == q.product()) &&
           (q.q().empty() || names_->is_called(q.tenant(), device, q.q()));
  };
  return names_->in_desired(q.tenant(), desired.list(question, wanted));
}

// What people ask of the gateway itself.
void PlatformSide::answer_about_operators(Answerer& answerer) {
  answerer.use(AskKind::tell_passage, [this](const Question& q, const link::Answered& a) {
    platform_.begin(calls_.now());
    if (!platform_.passage_told(q.bytes, [a] { a({AskError::none, {}}); }))
      return a({AskError::failed, "no room, or malformed"});
    calls_.post_turn();
  });
  answerer.use(AskKind::passages, [this](const Question& q, const link::Answered& a) {
    a({AskError::none, platform_.ask_passages(q.bytes)});
  });
  answerer.use(AskKind::end_session, [this](const Question& q, const link::Answered& a) {
    platform_.begin(calls_.now());
    if (!platform_.end_session(q.bytes, [a] { a({AskError::none, {}}); }))
      return a({AskError::failed, "no room, or malformed"});
    calls_.post_turn();
  });
  answerer.use(AskKind::ended_sessions, [this](const Question& q, const link::Answered& a) {
    a({AskError::none, platform_.ask_ended_sessions(q.bytes)});
  });
  answerer.use(AskKind::late_commands, [this](const Question& q, const link::Answered& a) {
    platform_.begin(calls_.now());
    a({AskError::none, platform_.ask_late(q.bytes)});
  });
}

void PlatformSide::answer_about_devices(Answerer& answerer, const registry::Registry* registry) {
  platform::DeviceWatch& devices = platform_.devices();
  const auto told = [](link::Answered answered) {
    return [answered = std::move(answered)](std::string bytes) {
      answered({AskError::none, std::move(bytes)});
    };
  };
  answerer.use(AskKind::presence, [&devices, told](const Question& q, link::Answered answered) {
    devices.ask_presence(q.bytes, told(std::move(answered)));
  });
  answerer.use(AskKind::history, [this, &devices](const Question& q, link::Answered answered) {
    platform::pb::HistoryQuestion asked;
    (void)asked.ParseFromString(q.bytes);
    const auto is_called = [this](std::string_view tenant, std::string_view device,
                                  std::string_view text) {
      return !names_ || names_->is_called(tenant, device, text);
    };
    const auto named = [this, tenant = asked.tenant(),
                        answered = std::move(answered)](std::string bytes) {
      if (names_) bytes = names_->in_history(tenant, std::move(bytes));
      answered({AskError::none, std::move(bytes)});
    };
    devices.ask_history(q.bytes, named, is_called);
  });
  answerer.use(AskKind::events, [this, &devices](const Question& q, const link::Answered& a) {
    platform_.begin(calls_.now());
    const bool waits = platform_.when_confirmed([a, said = devices.ask_events(q.bytes)] {
      a({AskError::none, said});
    });
    if (!waits) return a({AskError::too_many, {}});
    calls_.post_turn();
  });
  answerer.use(AskKind::departures, [&devices](const Question& q, const link::Answered& a) {
    a({AskError::none, devices.ask_departures(q.bytes)});
  });
  answer_about_operators(answerer);
  answerer.use(AskKind::insights, [this, &devices](const Question& q, const link::Answered& a) {
    platform_.begin(calls_.now());
    a({AskError::none, devices.ask_insights(q.bytes)});
  });
  if (registry == nullptr) return;
  answerer.use(AskKind::board, [&devices, registry](const Question& q, const link::Answered& a) {
    a({AskError::none, answer_board(devices, *registry, q.bytes)});
  });
  answerer.use(AskKind::list_devices, [registry](const Question& q, const link::Answered& a) {
    a({AskError::none, list_devices(*registry, q.bytes)});
  });
}

}  // namespace berth::gateway::engine
