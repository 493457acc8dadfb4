#include "platform/platform.h"

#include <utility>

namespace berth::platform {

void Platform::record(std::string_view, std::string_view) {}
void Platform::forget_record(std::string_view) {}

void Platform::attached_all(base::Instant now) {
  now_ = now;
}

void Platform::end_turn(base::Instant now) {
  now_ = now;
}

void Platform::tick(base::Instant now) {
  now_ = now;
}

void Platform::online(const session::Session&) {}
void Platform::offline(const session::Session&, session::Offline) {}
void Platform::finished(const session::Session&, std::uint64_t, const session::OutEntry&,
                        session::Finished) {}
void Platform::ended(const session::Session&) {}

// -- Records

void Platform::put(std::string_view key, std::string_view value) {
  core_.commits.write({.kind = session::WriteKind::put_record, .key = key, .value = value});
}

void Platform::remove(std::string_view key) {
  core_.commits.write({.kind = session::WriteKind::remove_record, .key = key});
}

void Platform::when_durable(std::function<void()> f) {
  session::Deferred d;
  d.kind = session::Deferred::Kind::call;
  d.call = [this, f = std::move(f)](base::Instant now) {
    now_ = now;
    f();
  };
  core_.commits.submit(std::move(d), true, now_);
}

void Platform::read(session::RecordRange range, session::Store::RecordsDone done) {
  read_(std::move(range), std::move(done));
}

}  // namespace berth::platform
