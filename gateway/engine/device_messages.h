// session::DeviceMessages by the registry: a tenant's format, a product's profile. On the engine's
// thread, which owns the registry.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "base/wall_clock.h"
#include "gateway/engine/report_traces.h"
#include "gateway/engine/unread_messages.h"
#include "gateway/engine/watched_reports.h"
#include "gateway/registry/commands.h"
#include "gateway/registry/registry.h"
#include "platform/board.h"
#include "protocol/messages/envelope.h"
#include "session/device_messages.h"

namespace berth::gateway::engine {

class DeviceMessages final : public session::DeviceMessages {
 public:
  explicit DeviceMessages(const registry::Registry& registry)
      : registry_(registry), catalog_(registry) {}
  What translate(const session::Scope& who, std::uint64_t session_epoch, base::Instant now,
                 std::string_view made_id, std::string_view topic, std::string_view payload,
                 Out& out) override;
  Told command(const session::Scope& service, base::Instant now, std::string_view topic,
               std::string_view payload, Out& out) override;
  std::optional<Lasts> lasts(std::string_view tenant, std::string_view device,
                             std::string_view type) override;
  bool is_devices_topic(std::string_view tenant, std::string_view topic) override {
    return catalog_.is_products_topic(tenant, topic);
  }
  std::optional<Lasts> vendors_command(std::string_view tenant, std::string_view topic) override {
    const auto bounds = catalog_.topics().bounds_of_command(tenant, topic);
    return bounds ? std::optional(Lasts{bounds->ttl_ms, bounds->ttl_max_ms}) : std::nullopt;
  }
  bool to_json(std::string_view envelope, std::string& json) override;
  void reported(const session::Scope& who, std::uint64_t session_epoch, base::Instant now,
                const protocol::messages::EnvelopeView& e, std::string_view made_id,
                std::string& envelope) override;
  void taken() override { traced_->taken(); }
  void state(const session::Scope& who, std::string_view envelope) override;
  void firmware(const session::Scope& who, std::string_view version) override;
  // A device reports its firmware: within a call.
  using OnFirmware = std::function<void(const session::Scope& who, std::string_view firmware)>;
  void on_firmware(OnFirmware f) { on_firmware_ = std::move(f); }
  // A device reports a state of its own; the same.
  using OnState = std::function<void(const session::Scope& who, platform::StateReport report)>;
  void on_state(OnState f) { on_state_ = std::move(f); }
  // WatchedReports::answer().
  std::optional<std::string> watch(std::string_view question) {
    auto said = watched_reports_.answer(question, base::wall_time().ms);
    watched = watched_reports_.any();
    return said;
  }
  // What a device has reported, for commands that services publish; empty: it is not known here.
  using FirmwareOf = std::function<std::string(std::string_view tenant, std::string_view device)>;
  void trace(const platform::Traces& traces_of, ReportTraces::Taken taken) {
    traced_.emplace(traces_of, std::move(taken));
    traces = true;
  }
  void use_firmwares(FirmwareOf f) { firmware_of_ = std::move(f); }

 private:
  bool is_known(std::string_view tenant, const std::string& product) const;
  What by_profile(const registry::Profile& profile, const session::Scope& who,
                  std::string_view topic, std::string_view payload, v1::Envelope& e,
                  std::string& as, std::string& why);

  const registry::Registry& registry_;
  protocol::messages::Completer completer_;
  registry::CommandCatalog catalog_;
  UnreadMessages unread_;
  std::optional<ReportTraces> traced_;  // if reports are traced
  void notice(const session::Scope& who, const v1::Envelope& e);
  OnFirmware on_firmware_;
  OnState on_state_;
  WatchedReports watched_reports_;
  FirmwareOf firmware_of_;
};

}  // namespace berth::gateway::engine
