// The limits of one run, for `gc`, `optimize` and `verify`.

import ArgumentParser
import Images

/// The options that limit one run.
struct BudgetOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Rewrite at most this many bytes of packs (500M, 2G); a pack, up to 128M, is never split",
      valueName: "size"))
  var maxBytes: String?
  @Option(
    help: ArgumentHelp(
      "Start no work and stop waiting after this time (90s, 5m, 2h); the current pack is completed",
      valueName: "time"))
  var maxTime: String?

  /// Returns a request with these limits.
  /// - Throws: `ValidationError` for an invalid size or time.
  func request(_ rewriting: CollectionRequest.Rewriting) throws -> CollectionRequest {
    var request = CollectionRequest()
    request.rewriting = rewriting
    request.maxBytes = try maxBytes.map(BudgetOptions.bytes)
    request.maxSeconds = try maxTime.map(BudgetOptions.seconds)
    return request
  }

  func validate() throws { _ = try request(.none) }

  /// Returns the number of bytes of a size: "500M" and "500MB" are powers of 1000, "500Mi" and "500MiB" of
  /// 1024.
  static func bytes(_ text: String) throws -> UInt64 {
    var (number, unit) = split(text)
    if unit.hasSuffix("b") { unit.removeLast() }
    let isBinary = unit.hasSuffix("i")
    if isBinary { unit.removeLast() }
    let powers = ["": 0, "k": 1, "m": 2, "g": 3, "t": 4]
    let parts = number.split(separator: ".", omittingEmptySubsequences: false)
    guard let power = powers[unit], !isBinary || power > 0, let whole = UInt64(parts[0]),
      parts.count == 1 || parts.count == 2 && power > 0 && UInt32(parts[1]) != nil
    else {
      throw ValidationError("invalid size '\(text)'; use 800k, 500M, 1.5G or 2Gi.")
    }
    let factor = (0..<power).reduce(UInt64(1)) { product, _ in product * (isBinary ? 1024 : 1000) }
    let (bytes, overflow) = whole.multipliedReportingOverflow(by: factor)
    let fraction = parts.count == 2 ? Double("0.\(parts[1])") ?? 0 : 0
    return overflow ? .max : bytes &+ min(UInt64(fraction * Double(factor)), .max - bytes)
  }

  /// Returns the seconds of a time: "90s", "5m", "1h30m", "1d". A number without a unit is in seconds.
  static func seconds(_ text: String) throws -> Double {
    let factors: [Character: Double] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
    var rest = text.lowercased()[...]
    if !rest.isEmpty, rest.allSatisfy({ $0.isASCII && $0.isNumber }) { rest += "s" }
    var total = 0.0
    repeat {
      let digits = rest.prefix { $0.isASCII && $0.isNumber }
      rest = rest.dropFirst(digits.count)
      guard let number = UInt32(digits), let factor = rest.popFirst().flatMap({ factors[$0] })
      else {
        throw ValidationError("invalid time '\(text)'; use 90s, 5m, 1h30m or 1d.")
      }
      total += Double(number) * factor
    } while !rest.isEmpty
    return total
  }

  private static func split(_ text: String) -> (number: String, unit: String) {
    let digits = text.prefix { $0.isASCII && ($0.isNumber || $0 == ".") }
    return (String(digits), text.dropFirst(digits.count).lowercased())
  }
}
