// The programs that administrators pack images with, and their arguments. `bench` compares itself to them.

import Platform

/// A program, or a pipeline of programs, that packs a tree.
struct BenchPeer {
  let form: BenchForm
  /// The pipeline in shell syntax.
  let text: String
  /// Programs with their arguments. "OUTPUT" stands for the output file if the program writes it itself.
  let stages: [[String]]

  private init(_ form: BenchForm, _ stages: [String]) {
    self.form = form
    text = stages.joined(separator: " | ")
    self.stages = stages.map { $0.split(separator: " ").map(String.init) }
  }

  var writesItself: Bool { stages.contains { $0.contains("OUTPUT") } }

  /// Returns the programs that write a form, slowest first.
  static func all(_ form: BenchForm) -> [BenchPeer] {
    if form.method == .squashfs {
      let codec = ["gz": "gzip", "zst": "zstd", "xz": "xz"][form.codec.suffix] ?? "gzip"
      return [
        BenchPeer(form, ["mksquashfs . OUTPUT -noappend -no-progress -quiet -comp \(codec)"])
      ]
    }
    let archive =
      form.method == .cpio ? ["find . -print0", "cpio -0 -o -H newc --quiet"] : ["tar cf - ."]
    let compressors =
      switch form.codec {
      case .gzip: ["gzip", "pigz"]
      case .xz: ["xz -T0 --check=crc32"]
      case .zstd, .zstdFrame, .zstdFast: ["zstd -q -T0 -c"]
      }
    return compressors.map { BenchPeer(form, archive + [$0]) }
  }

  /// Returns the pipeline with the programs that are installed.
  /// - Throws: `MissingProgramError` if one of them is not.
  func pipeline(
    output: [UInt8], _ environment: [String: String], _ fileSystem: any FileSystem
  ) throws(MissingProgramError) -> Pipeline {
    var found: [Pipeline.Stage] = []
    for stage in stages {
      guard let path = findProgram(stage[0], environment, fileSystem) else {
        throw MissingProgramError(name: stage[0])
      }
      let arguments = stage.dropFirst().map {
        $0 == "OUTPUT" ? String(decoding: output, as: UTF8.self) : $0
      }
      found.append(Pipeline.Stage(path, arguments))
    }
    return Pipeline(found)
  }

  struct MissingProgramError: Error {
    let name: String
  }
}
