"""English function words, which are neither replaced nor inserted: they change grammar or sense, not the wording."""

from __future__ import annotations

_WORDS = """
a an the this that these those each every either neither both all any some such no none other another same own
i me my mine myself we us our ours ourselves you your yours yourself yourselves he him his himself she her hers
herself it its itself they them their theirs themselves one who whom whose which what whoever whatever whichever
someone somebody something anyone anybody anything everyone everybody everything nobody nothing
am is are was were be been being do does did doing done have has had having will would shall should can could may
might must ought need dare cannot ain aren couldn didn doesn don hadn hasn haven isn mightn mustn needn shan shouldn
wasn weren won wouldn ll re ve
ain't aren't can't couldn't didn't doesn't don't hadn't hasn't haven't isn't mightn't mustn't needn't shan't
shouldn't wasn't weren't won't wouldn't i'm i've i'll i'd you're you've you'll you'd he's he'll he'd she's she'll
she'd it's it'll it'd we're we've we'll we'd they're they've they'll they'd that's there's here's what's who's
where's when's why's how's let's n't 's 'm 're 've 'll 'd 't s t m d
and but or nor so yet if unless because since although though while whereas whether than as until till once
not never hardly barely scarcely
of at by for with about against between among amongst into through during before after above below to from up down
in out on off over under within without along across behind beyond beside besides despite except inside outside
onto upon near per toward towards throughout underneath via around amid
again further then there here when where why how whenever wherever however also too very just only even else ever
almost already always still now more most less least much many few several
"""
STOP_WORDS = frozenset(_WORDS.split())
