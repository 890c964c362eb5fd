// liteimg's rules for litefile rows.

import Testing
import XCAT

@Suite struct LiteOptionsTests {
  private func findings(_ rows: (String, String)...) -> [String] {
    LiteOptions.faults(rows.map { LiteFile(file: $0.0, options: $0.1) }).map(\.reason)
  }

  @Test func `rows of xCAT's documentation are accepted`() {
    #expect(
      findings(
        ("/etc/adjtime", "tmpfs"), ("/usr/securetty", "tmpfs,rw"), ("/var/lib/", "tmpfs"),
        ("/var/lib/dhcpd/", "rw"), ("/root/.ssh/", ""), ("/root/.ssh/id", "link,con"),
        ("/var/account/", "persistent"), ("/var/account/p", "persistent"), ("/opt/", "ro"),
        ("/etc/", "tmpfs"), ("/etc/mtab", "link"), ("/etc/hosts", "con"), ("/", "ro"),
        ("/state/", "link,persistent"), ("/state/a/", "link,persistent"),
      ) == [])
  }

  @Test func `an invalid row is refused with liteimg's message`() {
    let all = LiteOptions.valid.joined(separator: " ")
    #expect(
      findings(("/a", "bind"), ("b", "rw"), ("/c/", "con"), ("/d/", "link,con"), ("/e", "con"))
        == [
          "/a has invalid option. The valid options: \(all)", "b is not one absolute path",
          "/c/ is directory, don't use \"con\" as its option",
          "/d/ is directory, don't use \"con\" as its option",
        ])
  }

  @Test func `rows below a directory's row are refused if the options do not match`() {
    func below(_ parent: String, _ child: String) -> [String] {
      findings(("/p/q/f", child), ("/p/", parent))
    }
    let basis = "Based on the option of /p/, /p/q/f"
    let forbidden = "the directory \"/p/\" should not be with \"ro\" or \"con\" as its option"
    #expect(below("ro", "ro") == [forbidden])
    #expect(below("link,ro", "link") == [forbidden])
    #expect(below("link", "link,ro") == ["\(basis) should not use \"link,ro\" as its option"])
    #expect(below("link", "rw") == ["\(basis) can only use \"link\"-based options"])
    #expect(below("", "tmpfs") == ["\(basis) can only use \"link\"-based options"])
    // xCAT's check of this never fires, so such rows work there.
    #expect(below("tmpfs", "link") == [])
    #expect(below("persistent", "rw") == ["/p/q/f should have persistent option like /p/"])
    #expect(below("link,persistent", "link") == ["/p/q/f should have persistent option like /p/"])
    #expect(below("persistent", "persistent") == [])
    #expect(findings(("/p/", "ro"), ("/p/a", "rw"), ("/p/b", "rw")) == [forbidden])
    // The nearest row counts, and a file is not a directory.
    #expect(findings(("/p/", "tmpfs"), ("/p/q/", "persistent"), ("/p/q/f", "persistent")) == [])
    #expect(findings(("/p", "ro"), ("/p/f", "link"), ("/x/p/", "rw")) == [])
  }
}
