// Numbers, sizes, times and modes as people read them.

import Platform
import Store

/// Returns a size in decimal units, with two or three digits: "1.8 GB".
public func sizeText(_ bytes: UInt64) -> String {
  var value = Double(bytes)
  for unit in ["B", "kB", "MB", "GB", "TB", "PB"] {
    if value < 999.5 || unit == "PB" {
      return unit == "B" || value >= 99.95
        ? "\(Int(value.rounded())) \(unit)" : "\(tenths(value)) \(unit)"
    }
    value /= 1000
  }
  return "\(bytes) B"
}

/// Returns a duration: "0.12 s".
public func secondsText(_ seconds: Double) -> String {
  if seconds >= 9.95 { return "\(tenths(seconds)) s" }
  let hundredths = Int((seconds * 100).rounded())
  let fraction = hundredths % 100
  return "\(hundredths / 100).\(fraction < 10 ? "0" : "")\(fraction) s"
}

private func tenths(_ value: Double) -> String {
  let tenths = Int((value * 10).rounded())
  return "\(tenths / 10).\(tenths % 10)"
}

/// Returns a number with its noun: "1 file", "2 files".
public func count(_ n: some BinaryInteger, _ noun: String) -> String {
  n == 1 ? "1 \(noun)" : "\(n) \(noun.hasSuffix("y") ? noun.dropLast() + "ies" : noun + "s")"
}

/// Returns the local time, to the second.
public func timeText(_ time: Timestamp) -> String {
  localTime(time.seconds, "%Y-%m-%d %H:%M:%S")
}

/// Returns kind and mode as `ls -l` prints them: "-rwsr-xr-x".
public func modeText(_ entry: Entry) -> String {
  let kinds: [FileKind: String] = [
    .file: "-", .directory: "d", .symlink: "l", .characterDevice: "c", .blockDevice: "b",
    .fifo: "p", .socket: "s",
  ]
  var text = kinds[entry.kind] ?? "?"
  let special: [(UInt16, String, String)] = [
    (0o4000, "s", "S"), (0o2000, "s", "S"), (0o1000, "t", "T"),
  ]
  for (i, (bit, with, without)) in special.enumerated() {
    let triple = entry.mode >> UInt16(6 - 3 * i) & 7
    text += triple & 4 != 0 ? "r" : "-"
    text += triple & 2 != 0 ? "w" : "-"
    let execute = triple & 1 != 0
    text += entry.mode & bit != 0 ? (execute ? with : without) : (execute ? "x" : "-")
  }
  return text
}
