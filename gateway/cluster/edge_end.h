// How an edge process ends, as a state without I/O: it drains, lingering first or not, or gives
// everything to its successor on the host. Held by value by the EdgeNode, on its thread.
#pragma once

#include <cstdint>
#include <utility>

namespace berth::gateway::cluster {

class EdgeEnd {
 public:
  enum class Do : std::uint8_t {
    nothing,
    linger,  // let devices in for a while, then call lingered()
    close,   // accept no connection, end all at the pace, then call drained()
    stop,    // the process ends
  };

  // Asked to drain. `stay`: the process waits for a signal when it is drained. `may_linger`: load
  // balancers may still send devices here.
  Do drain(bool stay, bool may_linger) {
    stays_ = stay;
    if (handing_over_) {  // the successor gets everything
      asked_meanwhile_ = true;
      return Do::nothing;
    }
    if (is_drained_) return stays_ ? Do::nothing : Do::stop;
    if (std::exchange(draining_, true)) return Do::nothing;
    lingers_ = may_linger;
    return lingers_ ? Do::linger : Do::close;
  }
  // The second one ends the lingering.
  Do signal(bool may_linger) {
    if (lingers_) stays_ = false;
    return std::exchange(lingers_, false) ? Do::close : drain(false, may_linger);
  }
  Do lingered() { return std::exchange(lingers_, false) ? Do::close : Do::nothing; }
  Do drained() {
    is_drained_ = true;
    return stays_ ? Do::nothing : Do::stop;
  }

  void begin_handover() { handing_over_ = true; }
  // True: it was asked to drain meanwhile.
  bool handover_failed() {
    handing_over_ = false;
    return std::exchange(asked_meanwhile_, false);
  }
  void end_handover() {
    handing_over_ = false;
    handed_over_ = true;
  }

  const bool& draining() const { return draining_; }
  bool lingers() const { return lingers_; }  // draining(), and devices are let in
  bool is_drained() const { return is_drained_; }
  bool stays() const { return stays_; }
  bool handed_over() const { return handed_over_; }

 private:
  bool draining_ = false;
  bool lingers_ = false;
  bool is_drained_ = false;
  bool stays_ = false;
  bool handing_over_ = false;
  bool handed_over_ = false;
  bool asked_meanwhile_ = false;
};

}  // namespace berth::gateway::cluster
