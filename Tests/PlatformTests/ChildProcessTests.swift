// Running other programs to their end.

import Foundation
import Platform
import TestSupport
import Testing

@Suite struct ChildProcessTests {
  private func bytes(_ text: String) -> [UInt8] { Array(text.utf8) }

  @Test func `arguments and variables are passed unchanged`() throws {
    let arguments = ["-c", "import sys,os;print(sys.argv[1:], os.environ)"]
    let odd = ["", "a b", "$(touch /x)", "'\"`;|&\n", "naïve"]
    let result = try ChildProcess.run(
      bytes("/usr/bin/python3"), arguments + odd, environment: ["ONE": "1 2", "LC_ALL": "C.UTF-8"])
    let text = String(decoding: result.output, as: UTF8.self)
    #expect(result.status == 0)
    #expect(text.contains(#"['', 'a b', '$(touch /x)', '\'"`;|&\n', 'naïve']"#), "\(text)")
    #expect(text.contains("'ONE': '1 2'") && !text.contains("'HOME'"))
  }

  @Test func `large input and output are passed concurrently`() throws {
    var random = SplitMix64(7)
    let input = random.bytes(3_000_000)
    let result = try ChildProcess.run(bytes("/bin/cat"), [], environment: [:], input: input)
    #expect(result.output == input)
  }

  @Test func `output, errors, exit status and signal are reported separately`() throws {
    let failed = try ChildProcess.run(
      bytes("/bin/sh"), ["-c", "echo out; echo err >&2; exit 3"], environment: [:])
    #expect(failed.status == 3 && failed.output == bytes("out\n"))
    #expect(failed.errors == bytes("err\n"))
    let killed = try ChildProcess.run(bytes("/bin/sh"), ["-c", "kill -9 $$"], environment: [:])
    #expect(killed.status == 128 + 9)
  }

  @Test func `a program that does not read its input does not fail`() throws {
    let input = [UInt8](repeating: 0x78, count: 1_000_000)
    let result = try ChildProcess.run(
      bytes("/bin/true"), [], environment: [:], input: input)
    #expect(result.status == 0)
  }

  @Test func `a program with endless output is ended`() throws {
    let error = #expect(throws: SystemError.self) {
      try ChildProcess.run(bytes("/usr/bin/yes"), [], environment: [:], outputLimitBytes: 100_000)
    }
    #expect(error?.code == .tooLarge)
  }

  @Test func `long output on stderr does not block, and its beginning is kept`() throws {
    let result = try ChildProcess.run(
      bytes("/bin/sh"), ["-c", "head -c 1000000 /dev/zero >&2; echo done"],
      environment: ["PATH": "/usr/bin:/bin"])
    #expect(result.errors.count == 65536 && result.output == bytes("done\n"))
  }

  @Test func `a missing program and an argument with a zero byte are errors`() throws {
    let error = #expect(throws: SystemError.self) {
      try ChildProcess.run(bytes("/nowhere/program"), [], environment: [:])
    }
    #expect(error?.code == .notFound)
    #expect(throws: SystemError.self) {
      try ChildProcess.run(bytes("/bin/true"), ["a\0b"], environment: [:])
    }
  }

  @Test func `a program inherits only its three standard descriptors`() throws {
    // Two descriptors that exec would keep.
    let files = try (0..<2).map { _ in try #require(fopen("/etc/passwd", "r")) }
    defer { for file in files { fclose(file) } }
    let result = try ChildProcess.run(
      bytes("/bin/sh"), ["-c", "for f in /proc/self/fd/*; do echo ${f##*/}; done"], environment: [:]
    )
    let open = Set(String(decoding: result.output, as: UTF8.self).split(separator: "\n"))
    // A shell opens the directory that it lists.
    #expect(open.isSuperset(of: ["0", "1", "2"]) && open.count <= 4, "\(open)")
  }

  @Test func `a program gets the variables that it needs and no secrets`() {
    let all = [
      "PATH": "/bin", "HOME": "/root", "LC_ALL": "C", "LANG": "C", "TZ": "UTC",
      "XCATROOT": "/opt/xcat",
      "PERL5LIB": "/x", "SSH_AUTH_SOCK": "/s", "AWS_SECRET_ACCESS_KEY": "x", "LD_PRELOAD": "x",
      "BASH_ENV": "x", "IMGSTORE_STORE": "/st", "GITHUB_TOKEN": "x", "TAPE": "/dev/null",
      "GZIP": "-1",
    ]
    let usual: Set = ["PATH", "HOME", "LC_ALL", "LANG", "TZ"]
    for (audience, more) in [
      (ChildProcess.ProgramKind.tool, Set<String>()), (.ssh, ["SSH_AUTH_SOCK"]),
      (.xcat, ["XCATROOT", "PERL5LIB"]),
    ] {
      #expect(Set(ChildProcess.environment(for: audience, of: all).keys) == usual.union(more))
    }
  }
}
