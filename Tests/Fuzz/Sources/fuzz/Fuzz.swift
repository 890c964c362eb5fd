// fuzz seeds PARSER DIRECTORY      writes the corpus to begin from
// fuzz PARSER [libFuzzer's arguments]
//
// A parser may throw. It must not trap, hang, take much memory, or violate the property
// next to it in Parsers.swift.

import CFuzzer
import Glibc

@main struct Fuzz {
  static func main() {
    let arguments = CommandLine.arguments
    if arguments.count == 4, arguments[1] == "seeds", let parser = Parser(rawValue: arguments[2]) {
      for (i, seed) in parser.seeds().enumerated() { write(seed, "\(arguments[3])/seed-\(i)") }
      return
    }
    guard arguments.count > 1, let parser = Parser(rawValue: arguments[1]) else {
      print("parsers: " + Parser.allCases.map(\.rawValue).joined(separator: " "))
      exit(2)
    }
    var strings = [arguments[0]] + arguments.dropFirst(2)
    // libFuzzer's name for the program, which it restarts for -jobs and -minimize_crash.
    strings[0] = arguments[0]
    let raw = UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>.allocate(
      capacity: strings.count + 1)
    for (i, string) in strings.enumerated() { raw[i] = strdup(string) }
    raw[strings.count] = nil
    exit(cfuzzer_run(Int32(strings.count), raw, parser.target))
  }

  private static func write(_ bytes: [UInt8], _ path: String) {
    guard let file = fopen(path, "w") else {
      perror(path)
      exit(1)
    }
    fwrite(bytes, 1, bytes.count, file)
    fclose(file)
  }
}

/// The fuzzed parser.
enum Parser: String, CaseIterable {
  case tar
  case cpio
  case gzip
  case bundle
  case reader
  case manifest
  case litefile
  case csv
  case stanza
  case pattern
  case plan
  case frame
  case differences
  case value
  case manifestvalue
  case excludes
  case synclist
  case closure
  case name
  case terminal
  case ref
  case journal
  case mounts
  case packages
  case statement
  case walk
  case squashfs
  case configuration
  case json
  case layer
  case message
  case request
  case s3xml
  case ini

  /// A function of C's, which captures nothing.
  var target: cfuzzer_target {
    switch self {
    case .tar: { data, size in run(fuzzTar, data, size) }
    case .cpio: { data, size in run(fuzzCpio, data, size) }
    case .gzip: { data, size in run(fuzzGzip, data, size) }
    case .reader: { data, size in run(fuzzReader, data, size) }
    case .litefile: { data, size in run(fuzzLitefile, data, size) }
    case .csv: { data, size in run(fuzzCSV, data, size) }
    case .stanza: { data, size in run(fuzzStanza, data, size) }
    case .pattern: { data, size in run(fuzzPattern, data, size) }
    case .plan: { data, size in run(fuzzPlan, data, size) }
    case .frame: { data, size in run(fuzzFrame, data, size) }
    case .differences: { data, size in run(fuzzDifferences, data, size) }
    case .value: { data, size in run(fuzzValue, data, size) }
    case .manifestvalue: { data, size in run(fuzzManifestValue, data, size) }
    case .excludes: { data, size in run(fuzzExcludes, data, size) }
    case .synclist: { data, size in run(fuzzSynclist, data, size) }
    case .closure: { data, size in run(fuzzClosure, data, size) }
    case .name: { data, size in run(fuzzName, data, size) }
    case .terminal: { data, size in run(fuzzTerminal, data, size) }
    case .ref: { data, size in run(fuzzRef, data, size) }
    case .journal: { data, size in run(fuzzJournal, data, size) }
    case .mounts: { data, size in run(fuzzMounts, data, size) }
    case .packages: { data, size in run(fuzzPackages, data, size) }
    case .statement: { data, size in run(fuzzStatement, data, size) }
    case .walk: { data, size in run(fuzzWalk, data, size) }
    case .squashfs: { data, size in run(fuzzSquashfs, data, size) }
    case .configuration: { data, size in run(fuzzConfiguration, data, size) }
    case .json: { data, size in run(fuzzJSON, data, size) }
    case .layer: { data, size in run(fuzzLayer, data, size) }
    case .message: { data, size in run(fuzzMessage, data, size) }
    case .request: { data, size in run(fuzzRequest, data, size) }
    case .s3xml: { data, size in run(fuzzS3XML, data, size) }
    case .ini: { data, size in run(fuzzINI, data, size) }
    case .bundle: { data, size in run(fuzzBundle, data, size) }
    case .manifest: { data, size in run(fuzzManifest, data, size) }
    }
  }
}

private func run(_ body: ([UInt8]) -> Void, _ data: UnsafePointer<UInt8>?, _ size: Int) -> Int32 {
  body(Array(UnsafeBufferPointer(start: data, count: size)))
  return 0
}

/// A property that must hold.
func hold(_ isTrue: Bool, _ what: String) {
  if !isTrue { fatalError("broken property: \(what)") }
}
