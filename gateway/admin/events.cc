#include "gateway/admin/events.h"

#include <boost/asio/post.hpp>
#include <utility>

namespace berth::gateway::admin {

std::string StreamState::take() {
  std::string all;
  for (const std::string& chunk : chunks) all += chunk;
  chunks.clear();
  held_ -= all.size();
  return all;
}

bool StreamState::hold(std::size_t bytes) {
  if (over) return false;
  if (held_.fetch_add(bytes) + bytes <= bytes_max_) return true;
  slow = true;
  over = true;
  return false;
}

void StreamState::tell_over() {
  over = true;
  if (std::exchange(told_, true)) return;
  if (const auto f = std::exchange(on_over, nullptr)) f();
}

void EventStream::post(std::function<void(StreamState&)> f) const {
  boost::asio::post(*server_, [state = state_, f = std::move(f)] {
    f(*state);
    state->timer.cancel();
  });
}

void EventStream::refuse(Response r) const {
  auto shared = std::make_shared<Response>(std::move(r));
  post([shared](StreamState& s) {
    if (!s.begun) s.refused = std::move(*shared);
  });
}

void EventStream::begin() const {
  post([](StreamState& s) { s.begun = true; });
}

bool EventStream::send(std::string_view name, std::string_view data, std::string_view id) const {
  std::string text = event_text(name, data, id);
  const bool held = state_->hold(text.size());
  auto shared = std::make_shared<std::string>(std::move(text));
  post([shared, held](StreamState& s) {
    if (held) return s.chunks.push_back(std::move(*shared));
    if (s.cut) s.cut();
  });
  return held;
}

void EventStream::end() const {
  post([](StreamState& s) { s.ended = true; });
}

void EventStream::on_over(std::function<void()> f) const {
  state_->on_over = std::move(f);
  if (state_->over) state_->tell_over();
}

std::string event_text(std::string_view name, std::string_view data, std::string_view id) {
  std::string out;
  if (!id.empty()) out.append("id: ").append(id).append("\n");
  if (!name.empty()) out.append("event: ").append(name).append("\n");
  for (std::size_t at = 0; at <= data.size();) {
    const std::size_t end = std::min(data.find('\n', at), data.size());
    out.append("data: ").append(data.substr(at, end - at)).append("\n");
    at = end + 1;
  }
  return out + "\n";
}

}  // namespace berth::gateway::admin
