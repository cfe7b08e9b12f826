"""Providers where anybody may have a mailbox: to share their domain says nothing at all."""

from typing import Final

_NAMES: Final = """
012.net.il 126.com 163.com aim.com aol.com att.net bezeqint.net bigpond.com bluewin.ch bol.com.br btinternet.com
centrum.cz charter.net comcast.net cox.net daum.net duck.com earthlink.net email.com email.cz fastmail.fm free.fr
freemail.hu freenet.de gmx.at gmx.ch gmx.com gmx.de gmx.fr gmx.net gmx.us hanmail.net hey.com hotmail.co.il
hotmail.co.uk hotmail.de hotmail.es hotmail.fr hotmail.it hushmail.com inbox.com inbox.lv inbox.ru interia.pl
juno.com laposte.net libero.it list.ru live.ca live.co.uk live.de live.fr live.it live.nl mail.com mail.de mail.ru
mailbox.org mailfence.com msn.com nana10.co.il nate.com naver.com netvision.net.il netzero.net o2.pl onet.pl
online.de online.no ono.com optonline.net orange.fr outlook.co.il outlook.de outlook.es outlook.fr outlook.it
pobox.com posteo.de posteo.net protonmail.ch qq.com rambler.ru rediffmail.com riseup.net rocketmail.com rogers.com
sapo.pt sbcglobal.net seznam.cz sfr.fr shaw.ca simplelogin.com sky.com skynet.be t-online.de talktalk.net telenet.be
terra.com.br tiscali.it tuta.com tuta.io tutamail.com tutanota.com tutanota.de ukr.net uol.com.br verizon.net
virgilio.it virginmedia.com vodafone.de walla.co.il walla.com wanadoo.fr web.de wp.pl xs4all.nl ya.ru yahoo.ca
yahoo.co.in yahoo.co.jp yahoo.co.uk yahoo.com yahoo.com.au yahoo.com.br yahoo.com.mx yahoo.de yahoo.es yahoo.fr
yahoo.it yandex.ru yandex.ua ymail.com yopmail.com ziggo.nl zohomail.com
"""

FREE_MAIL: Final = frozenset(_NAMES.split())
"""Lower-case domains, beside those whose mailboxes `core.history` knows how to spell."""
