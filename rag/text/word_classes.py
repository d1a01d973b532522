"""English words by what they do in a question: the closed classes, and nouns and verbs that tell what is asked for."""


def _words(listed: str) -> frozenset[str]:
    return frozenset(listed.split())


QUESTION_WORDS = _words("who whom whose what which when where why how")
AUXILIARIES = _words(
    "do does did is are was were am be been being can could will would shall should may might must has have had"
)
DO_LIKE = AUXILIARIES - _words("is are was were am be been being has have had")
DETERMINERS = _words("the a an our your my every each any some all both no")
PREPOSITIONS = _words(
    "of in on at by for from with without to into over under about after before between during since until against "
    "through near across behind within among per via as than like"
)
PERSONS = _words("he she him her his hers")
THINGS = _words("it its itself")
GROUPS = _words("they them their theirs")
DEMONSTRATIVES = _words("this that these those")
PRONOUNS = PERSONS | THINGS | GROUPS
SUBJECT_PRONOUNS = _words("i you we he she it they")
_OTHERS = _words(
    "i me we us you yours mine ours myself themselves and or but if while because so also too still now then there "
    "here just exactly only even ever never already again usually currently normally often not yes please else many "
    "much long often else one ones own whether other same that's it's what's who's where's when's how's actually "
    "precisely roughly about around else come ago"
)
FUNCTION_WORDS = QUESTION_WORDS | AUXILIARIES | DETERMINERS | PREPOSITIONS | PRONOUNS | DEMONSTRATIVES | _OTHERS
PERSON_NOUNS = _words(
    "person people employee employees manager managers director directors engineer engineers founder founders author "
    "authors customer customers user users member members doctor doctors nurse officer officers chair chairman "
    "president mayor minister architect architects lead leader leaders owner owners supervisor supervisors colleague "
    "colleagues contractor contractors trainee trainees apprentice apprentices student students visitor visitors guest "
    "guests teacher teachers driver captain editor winner staff someone somebody anyone anybody everyone everybody "
    "woman man parent parents child children keeper curator secretary treasurer father mother son daughter wife "
    "husband brother sister"
)
ATTRIBUTES = _words(
    "height length width size weight depth price cost fee name date colour color capital number amount age budget "
    "capacity purpose meaning location population level limit deadline duration version title role address owner "
    "manager director head author founder architect designer salary speed memory area diameter reason cause result "
    "start end beginning opening"
)
PLACE_NOUNS = _words("city town country place room building village region street island state")
TIME_NOUNS = _words("year date day month time week century decade hour")
PARTICIPLES = _words(
    "built made kept held paid sold sent found won lost written given taken known shown set cut put read run begun "
    "bought brought caught chosen done drawn driven eaten fallen felt forgotten frozen grown heard hidden hit laid "
    "led left lent met said seen spent spoken stolen taught told thought thrown understood worn born ground wound bound"
)
PREDICATES = _words("open closed available free full empty busy allowed due ready safe old long high big")
NO_PERSON = _words(
    "corp inc ltd llc plc gmbh bridge office hall museum street road house tower station park school university bank "
    "library hotel river lake island valley bay north south east west city hospital factory project service server "
    "server system team act"
)
DAYS = _words("monday tuesday wednesday thursday friday saturday sunday")
MONTHS = _words("january february march april may june july august september october november december")
GENERIC_VERBS = _words("happen happened happens happening mean means meant say said tell know more exactly come go")
DEICTIC_NOUNS = TIME_NOUNS | _words("morning afternoon evening quarter company organisation organization team")
"""After "this" they mean what they would mean without a conversation: this year, this company."""
