"""Serves a video file by RTSP, from its beginning to each client, with GStreamer; started by `live_addresses.py`.

    /usr/bin/python3 rtsp_server.py clip.mp4 PORT      # H.264 and AAC, at rtsp://127.0.0.1:PORT/clip

`/locked` asks for the user `user` and the password `secret`. Needs GStreamer, which no package index has (Debian:
gir1.2-gst-rtsp-server-1.0 and the base, good and bad plugins), and so the system's Python.
"""

import sys

import gi  # type: ignore[import-not-found]

gi.require_version('Gst', '1.0')
gi.require_version('GstRtspServer', '1.0')
from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[import-not-found] # noqa: E402

PIPELINE = (
    '( filesrc location={} ! qtdemux name=file file.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 '
    'config-interval=1 file.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 )'
)


def main() -> None:
    Gst.init(None)
    path, port = sys.argv[1:]
    server = GstRtspServer.RTSPServer()
    server.set_address('127.0.0.1')
    server.set_service(port)
    users = GstRtspServer.RTSPAuth()
    token = GstRtspServer.RTSPToken()
    token.set_string('media.factory.role', 'user')
    users.add_basic(GstRtspServer.RTSPAuth.make_basic('user', 'secret'), token)
    anyone = GstRtspServer.RTSPToken()
    anyone.set_string('media.factory.role', 'anyone')
    users.set_default_token(anyone)
    server.set_auth(users)
    for name, roles in (('/clip', ('user', 'anyone')), ('/locked', ('user',))):
        factory = GstRtspServer.RTSPMediaFactory()
        factory.set_launch(PIPELINE.format(path))
        for role in ('user', 'anyone'):  # who may see it, but not have it made, is asked for a password
            rights = f'{role}, media.factory.access=true, media.factory.construct={str(role in roles).lower()}'
            factory.add_role_from_structure(Gst.Structure.from_string(rights)[0])
        server.get_mount_points().add_factory(name, factory)
    server.attach(None)
    sys.stdout.write('serving\n')
    sys.stdout.flush()
    GLib.MainLoop().run()


if __name__ == '__main__':
    main()
