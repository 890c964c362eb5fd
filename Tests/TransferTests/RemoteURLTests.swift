// The addresses of remotes.

import TestSupport
import Testing
import Transfer

@Suite struct RemoteURLTests {
  @Test(arguments: [
    ("/srv/store", "/srv/store"), ("file:///srv/a%20b", "/srv/a b"),
    ("ssh://mn2", "ssh://mn2"), ("ssh://root@mn2:2222/srv/store", "ssh://root@mn2:2222/srv/store"),
    ("ssh://[fe80::1]:22/s", "ssh://[fe80::1]:22/s"), ("SSH://mn2/", "ssh://mn2"),
    ("s3://bucket", "s3://bucket"), ("s3://my.bucket/site1/depot/", "s3://my.bucket/site1/depot"),
  ])
  func validAddresses(_ text: String, _ form: String) throws {
    #expect("\(try RemoteURL(text))" == form)
    #expect("\(try RemoteURL(form))" == form)
  }

  @Test(arguments: [
    "", "/", "relative", "file://host/path", "file:///a%0", "file:///a%00b", "ssh://",
    "ssh://-oProxyCommand=x", "ssh://host/../..", "ssh://a b", "ssh://user:secret@host",
    "ssh://h:0", "ssh://h:70000", "ssh://h:x", "ssh://$(id)", "ssh://[::1", "ssh://-u@host",
    "s3://", "s3://ab", "s3://a/b", "s3://bucket/..", "s3://bucket/a//b", "s3://a b c",
    "s3://bucket/\u{1b}[0m", "http://host", "mn2:/srv/store",
  ])
  func invalidAddresses(_ text: String) {
    #expect(errorCode { _ = try RemoteURL(text) } == .usage, "\(text)")
  }
}
